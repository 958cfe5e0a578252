package document

import (
	"bytes"
	"io"
	"strings"
)

// PrefixSize is how many bytes [RecognisePrefix] wants of a document.
const PrefixSize = 4 << 10

// recogniseFetches bounds a recognition to 2.5 MiB in 40 round trips. To find the format, small packages take one, large
// ones two or three.
// It bounds the directory of a package to some 50,000 entries and 12 MiB of memory.
const recogniseFetches = 40

// Recognition is what a document turned out to be.
type Recognition struct {
	// Format is what the content is, whatever the name says.
	Format Format
	// Import is how LibreOffice is told to read this very document: Format.Import, with the character set and the
	// separator that a text was found to have.
	Import Import
	// Encrypted says that the document needs a password. It is false for what is encrypted with the password that is built
	// into Excel and LibreOffice and only protects from changes: that opens without asking.
	Encrypted bool
}

// Recognise finds out what a document of size bytes is, by its content. The name, of which only the extension counts, chooses
// among formats that the content cannot tell apart (ppt and pps; txt and csv; the formats that are encrypted as a whole)
// and is held against the content: another format of the same family is accepted as what the content is, anything else
// is a contradiction. With no extension or an unknown one the content decides alone.
//
// A document that will not be converted is a [*Refusal], also one beyond the [DefaultLimits]; any other error is that of
// reading from r. At most 40 reads of up to 64 KiB are made: one or two for most documents, up to ten for packages of
// more than a MiB. Passwords apart it takes some milliseconds; to try the built-in one on an encrypted document takes up
// to 0.1 s.
func Recognise(r io.ReaderAt, size int64, filename string) (Recognition, error) {
	return DefaultLimits().Recognise(r, size, filename)
}

// Recognise is the function [Recognise] with other limits.
func (l Limits) Recognise(r io.ReaderAt, size int64, filename string) (Recognition, error) {
	name := nameOf(filename)
	if size <= 0 {
		return Recognition{}, name.refuse(Refusal{Reason: Empty})
	}
	w := newWindow(r, size, recogniseFetches)
	c, err := identify(w)
	if w.failure != nil {
		return Recognition{}, w.failure
	}
	if err != nil {
		return Recognition{}, name.complete(err)
	}
	recognition, err := name.judge(c)
	if err != nil {
		return Recognition{}, err
	}
	err = l.inspect(w, c)
	if w.failure != nil {
		return Recognition{}, w.failure
	}
	if err != nil {
		return Recognition{}, name.complete(err)
	}
	if c.text != 0 && recognition.Import.Filter != "" {
		recognition.Import = recognition.importText(c.text, w.blocks[0].data)
	}
	return recognition, nil
}

// RecognisePrefix refuses what the first bytes of a document already show that [Recognise] would refuse, and gives nil if it
// has to be seen whole. The head is at least [PrefixSize] bytes, or the whole document if that is smaller.
func RecognisePrefix(head []byte, filename string) error {
	if len(head) < PrefixSize {
		_, err := Recognise(bytes.NewReader(head), int64(len(head)), filename)
		return err
	}
	if isArchive(head) || isCompound(head) {
		return nil
	}
	name := nameOf(filename)
	c, decided, err := identifyHead(head[:min(len(head), blockSize)], true)
	if err != nil {
		return name.complete(err)
	}
	if !decided {
		return nil
	}
	_, err = name.judge(c)
	return err
}

func (r Recognition) importText(e encoding, head []byte) Import {
	if r.Format.ID == "csv" {
		return csvImport(e, separator(head, e))
	}
	return textImport(e)
}

// name is what the name of a document says of its format.
type name struct {
	// extension is in lower case and without a dot; empty if there is none that could be one.
	extension string
	// format is what the extension stands for; its ID is empty if it is unknown.
	format Format
}

func nameOf(filename string) name {
	dot := strings.LastIndexByte(filename, '.')
	extension := strings.ToLower(strings.TrimRight(filename[dot+1:], " "))
	if dot < 0 || len(extension) > 16 || strings.ContainsFunc(extension, notAlphanumeric) {
		return name{}
	}
	f, _ := formatByExtension(extension)
	return name{extension: extension, format: f}
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z')
}

// judge holds the content against the name.
func (n name) judge(c content) (Recognition, error) {
	if c.sealed {
		return n.judgeSealed(c)
	}
	format := c.format
	if c.text != 0 && n.format.ID == "html" && c.title == "" && format.ID == "" {
		return n.recognised(n.format, c), nil // a page without the usual beginning
	}
	if c.text != 0 && (n.isText() || !n.known() && c.title == "" && format.ID == "") {
		if c.text == ansiText && !n.known() {
			return Recognition{}, n.refuse(Refusal{
				Reason: Unrecognisable,
				hint:   "If it is a text, name it .txt or .csv, or send it in UTF-8.",
			})
		}
		return n.recognised(n.textFormat(), c), nil
	}
	switch {
	case format.ID == "" && n.known():
		return Recognition{}, n.contradiction(c)
	case format.ID == "":
		return Recognition{}, n.refuse(Refusal{Reason: Unsupported, Content: c.title, MediaType: c.mediaType})
	case n.known() && n.format.Family != format.Family:
		return Recognition{}, n.contradiction(c)
	case format.recognisedOnly:
		return Recognition{}, n.refuse(Refusal{Reason: Unsupported, Content: format.Title, MediaType: format.MediaType})
	case n.known() && n.format.MediaType == format.MediaType:
		return n.recognised(n.format, c), nil // pps and pot, which only their names tell from ppt
	default:
		return n.recognised(format, c), nil
	}
}

// judgeSealed decides what an encrypted package is: what its name says, or else the document of the name's family, which
// is how Office names such files. Only who has the password can tell.
func (n name) judgeSealed(c content) (Recognition, error) {
	if !n.known() {
		return Recognition{}, n.refuse(Refusal{
			Reason:  Unrecognisable,
			Content: c.title,
			hint:    "Only its name can tell: give it its extension, such as .pptx, .docx or .xlsx.",
		})
	}
	usual := map[Family]string{Presentation: "pptx", Text: "docx", Spreadsheet: "xlsx"}
	format := n.format
	if format.mainType == "" {
		format, _ = formatByID(usual[format.Family])
	}
	if n.isText() || format.ID == "" {
		return Recognition{}, n.contradiction(c)
	}
	if format.recognisedOnly {
		return Recognition{}, n.refuse(Refusal{Reason: Unsupported, Content: format.Title, MediaType: format.MediaType})
	}
	return n.recognised(format, c), nil
}

func (n name) recognised(f Format, c content) Recognition {
	return Recognition{Format: f, Import: f.Import, Encrypted: c.encrypted}
}

func (n name) known() bool { return n.format.ID != "" }

// isText tells whether the name promises a text without a format.
func (n name) isText() bool { return n.format.ID == "txt" || n.format.ID == "csv" }

func (n name) textFormat() Format {
	if n.isText() {
		return n.format
	}
	f, _ := formatByID("txt")
	return f
}

func (n name) contradiction(c content) error {
	r := Refusal{Reason: Contradiction, Content: c.title, MediaType: c.mediaType}
	switch {
	case c.format.ID != "":
		r.Content, r.MediaType = c.format.Title, c.format.MediaType
	case c.text != 0 && c.title == "":
		r.Content, r.MediaType = "plain text", "text/plain"
	}
	return n.refuse(r)
}

func (n name) refuse(r Refusal) error {
	r.Extension = n.extension
	return &r
}

// complete adds the extension to a refusal that was made without knowing the name.
func (n name) complete(err error) error {
	if r, ok := err.(*Refusal); ok { //nolint:errorlint // made by this package and not yet wrapped
		r.Extension = n.extension
	}
	return err
}
