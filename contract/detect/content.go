package detect

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gabriel-vasile/mimetype"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/officefile"
)

const (
	officeSpace    = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
	signatureBytes = 3072 // as much of the head as mimetype looks at
)

// content is what the bytes of a document show, before the name is considered.
type content struct {
	// format is the format of the content; its ID is empty if it is not in the table.
	format format.Format
	// title and mediaType describe a type that is not in the table.
	title, mediaType string
	// encrypted reports whether the document looks encrypted.
	encrypted bool
	// sealed reports whether it is an encrypted Office Open XML package, whose bytes do not show the format.
	sealed bool
	// text is the character set of a text without a format.
	text encoding
	// archive is the container of a package.
	archive *officefile.Package
}

// identify determines the type of a document by its bytes.
func (l Limits) identify(w *officefile.Window, budget *officefile.Budget) (content, error) {
	head, err := w.Head()
	if err != nil {
		return content{}, err
	}
	switch {
	case officefile.IsPackage(head):
		return l.identifyPackage(w, budget, head)
	case officefile.IsCompound(head):
		return identifyCompound(w, budget)
	default:
		c, _, err := identifyHead(head, int64(len(head)) < w.Size())
		return c, err
	}
}

// identifyHead identifies a document that is not a container by its head. cut means that the document continues after
// the head; decided is false if the rest might show it to be something else.
func identifyHead(head []byte, cut bool) (c content, decided bool, err error) {
	if f, ok := formatBySignature(head); ok {
		return content{format: f}, true, nil
	}
	text, isText := textEncoding(head, cut)
	decided = true
	if isText {
		if c, decided = identifyXML(head, cut); c.format.ID != "" {
			c.text = text
			return c, true, nil
		}
	}
	kind := mimetype.Detect(head[:min(len(head), signatureBytes)])
	unnamed := kind.Is("application/octet-stream")
	switch {
	case isText && descends(kind, "text/html"):
		f, _ := format.AnyByID("html")
		return content{format: f, text: text}, decided, nil
	case isText && kind.Is("image/svg+xml"): // its root may use entities, which identifyXML does not resolve
		f, _ := format.AnyByID("svg")
		return content{format: f, text: text}, decided, nil
	case isText && !unnamed && (!descends(kind, "text/plain") || descends(kind, "text/xml")):
		// It may still be text if its name says so: a CSV may begin with "BM", like a bitmap.
		return content{text: text, title: kindTitle(kind), mediaType: kind.String()}, decided, nil
	case isText:
		return content{text: text}, decided, nil
	case descends(kind, "text/plain"):
		return content{}, true, &Refusal{Reason: Unrecognized, note: "It may be a text in an old character set."}
	case unnamed:
		return content{}, true, &Refusal{Reason: Unrecognized}
	default:
		return content{title: kindTitle(kind), mediaType: kind.String()}, true, nil
	}
}

// signatures are the formats that are recognized by their first bytes.
var signatures = []struct {
	id      string
	matches func([]byte) bool
}{
	{"rtf", isRichText},
	{"png", isPNG},
	{"jpeg", isJPEG},
	{"gif", isGIF},
	{"bmp", isBMP},
	{"tiff", isTIFF},
	{"webp", isWebP},
	{"emf", isEMF},
	{"wmf", isWMF},
	{"wpd", isWordPerfect},
}

func formatBySignature(head []byte) (format.Format, bool) {
	for _, s := range signatures {
		if s.matches(head) {
			return format.ByID(s.id)
		}
	}
	return format.Format{}, false
}

func isRichText(head []byte) bool { return bytes.HasPrefix(head, []byte(`{\rtf`)) }

// isWordPerfect distinguishes a text of WordPerfect from its macros, drawings and others, which begin alike: product
// 1, file type 10.
func isWordPerfect(head []byte) bool {
	return len(head) >= 10 && bytes.HasPrefix(head, []byte("\xffWPC")) && head[8] == 1 && head[9] == 10
}

// identifyXML identifies the formats that are one XML file by the root element. It decides nothing if the head ends
// before the root does and the document continues, or if the document is not XML.
func identifyXML(head []byte, cut bool) (c content, decided bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(inUTF8(head), "\ufeff \t\r\n"), []byte("<")) {
		return content{}, true
	}
	found := false
	_ = elements(bytes.NewReader(head), func(root xml.StartElement) bool {
		found = true
		c.format = formatByRoot(root)
		return false
	})
	return c, found || !cut
}

func formatByRoot(root xml.StartElement) format.Format {
	var f format.Format
	switch space := root.Name.Space; root.Name.Local {
	case "document":
		if space == officeSpace {
			mediaType := strings.TrimSuffix(attribute(root, "mimetype"), "-template")
			f, _ = format.ByMediaType(mediaType + format.FlatSuffix)
		}
	case "svg":
		if space == "" || space == "http://www.w3.org/2000/svg" {
			f, _ = format.AnyByID("svg")
		}
	case "html":
		if space == "" || space == "http://www.w3.org/1999/xhtml" {
			f, _ = format.AnyByID("html")
		}
	case "VisioDocument":
		f, _ = format.AnyByID("vdx")
	}
	return f
}

// descends reports whether a kind equals another one or is derived from it.
func descends(kind *mimetype.MIME, ancestor string) bool {
	for ; kind != nil; kind = kind.Parent() {
		if kind.Is(ancestor) {
			return true
		}
	}
	return false
}

// kindTitle returns the name of a kind for people: "PNG image", "PDF file".
func kindTitle(kind *mimetype.MIME) string {
	name := strings.ToUpper(strings.TrimPrefix(kind.Extension(), "."))
	if name == "" {
		name, _, _ = strings.Cut(kind.String(), ";")
	}
	top, _, _ := strings.Cut(kind.String(), "/")
	switch top {
	case "image", "audio", "video", "font":
		return name + " " + top
	default:
		return name + " file"
	}
}

func (l Limits) identifyPackage(w *officefile.Window, budget *officefile.Budget, head []byte) (content, error) {
	p, err := officefile.OpenPackage(w, w.Size(), budget)
	if err != nil {
		return content{}, damaged("zip container", err)
	}
	if l.Entries > 0 && len(p.File) > l.Entries {
		return content{}, tooManyFiles(len(p.File))
	}
	c, err := identifyParts(p, head)
	c.archive = p
	return c, err
}

func identifyParts(p *officefile.Package, head []byte) (content, error) {
	mediaType, err := p.MediaType()
	if err != nil {
		return content{}, damaged("zip container", err)
	}
	fromManifest, encrypted := "", false
	if mediaType == "" || strings.HasPrefix(mediaType, format.OpenDocument) {
		fromManifest, encrypted = p.Manifest()
	}
	if mediaType == "" {
		mediaType = fromManifest
	}
	f, ok := format.ByMediaType(mediaType)
	switch {
	case strings.HasPrefix(mediaType, format.OpenDocument) && !ok:
		return content{title: "OpenDocument file", mediaType: mediaType, encrypted: encrypted}, nil
	case strings.HasPrefix(mediaType, format.OpenDocument):
		return content{format: f, encrypted: encrypted}, nil
	case ok: // an EPUB book
		return content{format: f}, nil
	default:
		return identifyOpenXML(p, head)
	}
}

func identifyOpenXML(p *officefile.Package, head []byte) (content, error) {
	main, err := p.MainPart()
	if err != nil {
		return content{}, damaged("list of parts", err)
	}
	if main == "" {
		if c, ok := apple(p); ok {
			return c, nil
		}
		return otherArchive(head), nil
	}
	mainType, err := p.ContentType(main)
	if err != nil && !errors.Is(err, officefile.ErrMissingPart) {
		return content{}, damaged("list of parts", err)
	}
	if f, ok := format.ByMainType(mainType); ok {
		return content{format: f}, nil
	}
	return content{title: "Office Open XML package of another kind", mediaType: "application/zip"}, nil
}

// otherArchive names a zip archive that is not a document. mimetype decides by the names of entries, which must not
// make a document of it again.
func otherArchive(head []byte) content {
	kind := mimetype.Detect(head[:min(len(head), signatureBytes)])
	_, isDocument := format.ByMediaType(kind.String())
	if isDocument || !descends(kind, "application/zip") || kind.Is("application/zip") {
		return content{title: "ZIP archive", mediaType: "application/zip"}
	}
	return content{title: kindTitle(kind), mediaType: kind.String()}
}

func identifyCompound(w *officefile.Window, budget *officefile.Budget) (content, error) {
	c, err := officefile.OpenCompound(w)
	if err != nil {
		return content{}, damaged("OLE2 container", err)
	}
	var (
		id        string
		encrypted bool
	)
	switch {
	case c.Has("EncryptedPackage"):
		return content{
			sealed: true, encrypted: encryptedPackage(c, budget), title: "password-protected Office document",
		}, nil
	case c.Has("PowerPoint Document"):
		id, encrypted = "ppt", encryptedPresentation(c)
	case c.Has("WordDocument"):
		id, encrypted = "doc", encryptedText(c)
	case c.Has("Workbook"):
		id, encrypted = "xls", encryptedWorkbook(c, "Workbook")
	case c.Has("Book"): // Excel 5.0 and 95
		id, encrypted = "xls", encryptedWorkbook(c, "Book")
	case c.Has("PP97_DUALSTORAGE"): // PowerPoint 95 and 97 in one file
		id = "ppt"
	case c.Has("VisioDocument"):
		id = "vsd"
	case c.Has("Quill"):
		id = "pub"
	case c.Has("MN0"), bytes.HasPrefix(c.Head("CONTENTS", 4), []byte("CHNK")): // Works 3 and 4; Works 2000
		id = "wps"
	default:
		return otherCompound(c), nil
	}
	f, _ := format.AnyByID(id)
	return content{format: f, encrypted: encrypted}, nil
}

func otherCompound(c *officefile.Compound) content {
	if c.Has("__properties_version1.0") {
		return content{title: "Outlook message", mediaType: "application/vnd.ms-outlook"}
	}
	return content{title: "OLE2 compound file", mediaType: "application/x-ole-storage"}
}

// encryptedPackage reports whether an encrypted package needs a password.
func encryptedPackage(c *officefile.Compound, budget *officefile.Budget) bool {
	info := c.Head("EncryptionInfo", maxEncryptionInfo)
	return budget.Spend(costPassword) != nil || !opensPackage(info, builtInPassword)
}

// encryptedPresentation looks for the token of an encrypted document in the current user's atom (MS-PPT 2.3.2). The
// stream of the encrypted summary is what LibreOffice looks for.
func encryptedPresentation(c *officefile.Compound) bool {
	const encryptedToken = 0xF3D1C4DF
	if c.Has("EncryptedSummary") {
		return true
	}
	head := c.Head("Current User", 16)
	return len(head) == 16 && binary.LittleEndian.Uint32(head[12:]) == encryptedToken
}

// encryptedText looks at the bit fEncrypted of the file information block (MS-DOC 2.5.2; Word 6 and 95 have it, too).
func encryptedText(c *officefile.Compound) bool {
	const encryptedBit = 0x0100
	head := c.Head("WordDocument", 12)
	return len(head) == 12 && binary.LittleEndian.Uint16(head[10:])&encryptedBit != 0
}

// encryptedWorkbook reports whether a workbook needs a password. It looks for the record FILEPASS (MS-XLS 2.4.117),
// which is among the first ones of the workbook because all that follow it are encrypted.
func encryptedWorkbook(c *officefile.Compound, stream string) bool {
	for id, body := range officefile.Records(c.Head(stream, maxWorkbookHead)) {
		if id == officefile.RecordFilePass {
			return !opensWorkbook(body, stream == "Workbook", builtInPassword)
		}
	}
	return false
}

func damaged(what string, cause error) error {
	return &Refusal{Reason: Damaged, Content: what, cause: cause}
}

// elements visits the elements of a short XML stream in order until visit returns false. Entities that the
// document itself declares are an error, so they are never expanded, and nothing outside the stream is ever fetched.
func elements(r io.Reader, visit func(xml.StartElement) bool) error {
	decoder := xml.NewDecoder(transform.NewReader(r, unicode.BOMOverride(transform.Nop)))
	// Everything that is looked for is ASCII, which all other character sets of XML in use have in common.
	decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("parse XML: %w", err)
		}
		if start, ok := token.(xml.StartElement); ok && !visit(start) {
			return nil
		}
	}
}

// attribute returns the value of an attribute by its local name; empty if there is none.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
