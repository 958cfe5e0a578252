// Package detect decides the type of a document by its content, not by its name. A document that cannot or must not be
// converted is refused with a [*Refusal], whose [Reason] is meant for the caller's decisions.
//
// It reads only the few parts of a document that show its type. All input is considered hostile: the number of reads
// and the bytes that are read, inflated and searched are bounded by one budget per document, so that no document of up
// to 1 MiB takes more than 0.1 s of processor time. Nothing is kept between calls, and everything is safe for
// concurrent use.
package detect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/officefile"
)

// PrefixSize is the number of bytes that [DetectPrefix] needs.
const PrefixSize = 4 << 10

const (
	// maxFetches bounds a detection to 2.5 MiB in 40 round trips. To find the format, small packages take one, large
	// ones two or three. It bounds the directory of a package to about 30,000 entries and 12 MiB of memory.
	maxFetches = 40
	// maxUnits bounds the work on one document to about 80 ms of a core, and to 50 ms of a fast one. Of the real documents
	// that the project is tested with, none takes more than half of it.
	maxUnits = 8_000_000
)

// Result describes a document.
type Result struct {
	// Format is the format of the content, regardless of the name.
	Format format.Format
	// Import tells LibreOffice how to read this document: it is Format.Import, with the character set and the
	// separator that were detected in a text.
	Import format.Import
	// Encrypted reports whether the document needs a password. It is false for a document that is encrypted with the
	// password that is built into Excel and LibreOffice and only protects from changes: it opens without a password.
	Encrypted bool
}

// Detect decides the type of a document of size bytes by its content. The name, of which only the extension counts,
// chooses among formats that have the same content (ppt and pps; txt and csv; the formats that are encrypted as a
// whole) and is compared with the content: if the content is another format of the same family, that format is the
// result; any other mismatch is a contradiction. Without a known extension the content alone decides.
//
// The error for a document that will not be converted, or that exceeds the [DefaultLimits], is a [*Refusal]; any other
// error is that of reading from r or the cause of the end of ctx. Detect makes at most 40 reads of up to 64 KiB: one or
// two for most documents, up to ten for packages of more than a MiB. It takes a few milliseconds; trying the built-in
// password on an encrypted document takes up to 0.07 s.
func Detect(ctx context.Context, r io.ReaderAt, size int64, filename string) (Result, error) {
	return DefaultLimits().Detect(ctx, r, size, filename)
}

// Detect is the function [Detect] with other limits.
func (l Limits) Detect(ctx context.Context, r io.ReaderAt, size int64, filename string) (Result, error) {
	result, _, err := l.detect(ctx, r, size, filename)
	return result, err
}

// detect also returns the units of work that it took.
func (l Limits) detect(ctx context.Context, r io.ReaderAt, size int64, filename string) (Result, int64, error) {
	name := nameOf(filename)
	if size <= 0 {
		return Result{}, 0, name.refuse(Refusal{Reason: Empty})
	}
	budget := officefile.NewBudget(ctx, maxUnits)
	w := officefile.NewWindow(r, size, maxFetches, budget)
	result, err := l.look(w, budget, name)
	switch {
	case w.Failure() != nil:
		err = w.Failure()
	case budget.Err() != nil && !errors.Is(budget.Err(), officefile.ErrBudget):
		err = budget.Err() // the context has ended
	}
	if err != nil {
		return Result{}, budget.Spent(), name.complete(err)
	}
	return result, budget.Spent(), nil
}

func (l Limits) look(w *officefile.Window, budget *officefile.Budget, name name) (Result, error) {
	c, err := l.identify(w, budget)
	if budget.Err() != nil {
		return Result{}, tooComplex("more than can be examined")
	}
	if err != nil {
		return Result{}, err
	}
	result, err := name.judge(c)
	if err != nil {
		return Result{}, err
	}
	if err := l.inspect(w, budget, c); err != nil {
		return Result{}, err
	}
	if c.text != 0 && result.Import.Filter != "" {
		head, err := w.Head()
		if err != nil {
			return Result{}, err
		}
		result.Import = importText(result.Format, c.text, head)
	}
	return result, nil
}

// DetectPrefix refuses a document whose first bytes already show that [Detect] would refuse it. It returns nil if the
// first bytes do not decide. head has at least [PrefixSize] bytes, or is the whole of a smaller document.
func DetectPrefix(ctx context.Context, head []byte, filename string) error {
	if len(head) < PrefixSize {
		_, err := Detect(ctx, bytes.NewReader(head), int64(len(head)), filename)
		return err
	}
	if officefile.IsPackage(head) || officefile.IsCompound(head) {
		return nil
	}
	name := nameOf(filename)
	c, decided, err := identifyHead(head[:min(len(head), officefile.BlockSize)], true)
	if err != nil {
		return name.complete(err)
	}
	if !decided {
		return nil
	}
	_, err = name.judge(c)
	return err
}

func importText(f format.Format, e encoding, head []byte) format.Import {
	if f.ID == "csv" {
		return csvImport(e, separator(head, e))
	}
	return textImport(e)
}

// name is the information in the name of a document about its format.
type name struct {
	// extension is in lower case and without a dot; empty if the name has none that could be one.
	extension string
	// format is the format of the extension; its ID is empty if the extension is unknown.
	format format.Format
}

func nameOf(filename string) name {
	dot := strings.LastIndexByte(filename, '.')
	extension := strings.ToLower(strings.TrimRight(filename[dot+1:], " "))
	if dot < 0 || len(extension) > 16 || strings.ContainsFunc(extension, notAlphanumeric) {
		return name{}
	}
	f, _ := format.ByExtension(extension)
	return name{extension: extension, format: f}
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z')
}

// judge compares the content with the name.
func (n name) judge(c content) (Result, error) {
	if c.sealed {
		return n.judgeSealed(c)
	}
	f := c.format
	if c.text != 0 && n.format.ID == "html" && c.title == "" && f.ID == "" {
		return resultOf(n.format, c), nil // a page without the usual beginning
	}
	if c.text != 0 && (n.isText() || !n.known() && c.title == "" && f.ID == "") {
		if c.text == ansiText && !n.known() {
			return Result{}, n.refuse(Refusal{Reason: Unrecognized, note: "It may be a text in an old character set."})
		}
		return resultOf(n.textFormat(), c), nil
	}
	switch {
	case f.ID == "" && n.known():
		return Result{}, n.contradiction(c)
	case f.ID == "":
		return Result{}, n.refuse(Refusal{Reason: Unsupported, Content: c.title, MediaType: c.mediaType})
	case n.known() && n.format.Family != f.Family:
		return Result{}, n.contradiction(c)
	case f.DetectOnly:
		return Result{}, n.refuse(Refusal{Reason: Unsupported, Content: f.Title, MediaType: f.MediaType})
	case n.known() && n.format.MediaType == f.MediaType:
		return resultOf(n.format, c), nil // pps and pot differ from ppt only by name
	default:
		return resultOf(f, c), nil
	}
}

// judgeSealed decides the format of an encrypted package: that of its name, or else the document of the name's family,
// which is how Office names such files. To know more, one needs the password.
func (n name) judgeSealed(c content) (Result, error) {
	if !n.known() {
		return Result{}, n.refuse(Refusal{
			Reason: Unrecognized, Content: c.title,
			note: "Only a file extension, such as .pptx, .docx or .xlsx, could show its kind.",
		})
	}
	f := n.format
	if f.MainType == "" {
		f, _ = format.AnyByID(usualPackages[f.Family])
	}
	if n.isText() || f.ID == "" {
		return Result{}, n.contradiction(c)
	}
	if f.DetectOnly {
		return Result{}, n.refuse(Refusal{Reason: Unsupported, Content: f.Title, MediaType: f.MediaType})
	}
	return resultOf(f, c), nil
}

var usualPackages = map[format.Family]string{
	format.Presentation: "pptx", format.Text: "docx", format.Spreadsheet: "xlsx",
}

func resultOf(f format.Format, c content) Result {
	return Result{Format: f, Import: f.Import, Encrypted: c.encrypted}
}

func (n name) known() bool { return n.format.ID != "" }

// isText reports whether the name promises a text without a format.
func (n name) isText() bool { return n.format.ID == "txt" || n.format.ID == "csv" }

func (n name) textFormat() format.Format {
	if n.isText() {
		return n.format
	}
	f, _ := format.ByID("txt")
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

// complete adds the extension to a refusal that was made without the name.
func (n name) complete(err error) error {
	if r, ok := errors.AsType[*Refusal](err); ok {
		r.Extension = n.extension
	}
	return err
}
