package upload

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"slices"
	"strings"

	"github.com/docmill/docmill/contract/problem"
)

const (
	// maxFields is the maximum number of options in a form; there are about 30.
	maxFields = 64
	// maxOverhead is the maximum size, in bytes, of what precedes a form's file, and of what follows it: preamble, part
	// headers, options. Go's own limit is 10 MB for the headers of a single part.
	maxOverhead = 64 << 10
	// maxBoundary is the limit of RFC 2046.
	maxBoundary = 70
	// filePart is the name of the part with the document.
	filePart = "file"
)

// form reads a multipart/form-data body.
type form struct {
	body    *body
	bounded *capped
	closing *closing
	parts   *multipart.Reader
	options *collector
}

func receiveForm(body *body, length int64, mediaType, boundary string, options *collector, limits Limits) (*Upload, error) {
	if mediaType != "multipart/form-data" {
		return nil, formInvalid("The media type is %s, not multipart/form-data.", mediaType)
	}
	if boundary == "" || len(boundary) > maxBoundary {
		return nil, formInvalid("The Content-Type must have a boundary of 1 to %d characters.", maxBoundary)
	}
	if length > limits.MaxSize+2*maxOverhead {
		return nil, tooLarge(limits.MaxSize) // the file alone must exceed the limit, whatever accompanies it
	}
	bounded := &capped{source: body, left: maxOverhead, beyond: formInvalid("More than %d bytes precede the file.", maxOverhead)}
	closing := newClosing(bounded, boundary)
	f := &form{body: body, bounded: bounded, closing: closing, parts: multipart.NewReader(closing, boundary), options: options}
	file, err := f.fileAfterOptions()
	if err != nil {
		return nil, err
	}
	return f.open(file, limits)
}

// fileAfterOptions reads the options and stops at the file.
func (f *form) fileAfterOptions() (*multipart.Part, error) {
	for range maxFields + 1 {
		part, err := f.next()
		if errors.Is(err, io.EOF) {
			return nil, problem.New(problem.FileMissing, "The form has no field named %q.", filePart).With(f.options.invalid...)
		}
		if err != nil {
			return nil, err
		}
		switch name := part.FormName(); {
		case name == filePart:
			return part, nil
		case part.FileName() != "":
			return nil, problem.New(problem.FileMissing, "The form has a file in the field %q; that field must be named %q.", problem.Excerpt(name), filePart).
				With(f.options.invalid...)
		default:
			if err := f.take(name, part); err != nil {
				return nil, err
			}
		}
	}
	return nil, formInvalid("The form has more than %d options.", maxFields)
}

// take reads an option's value, up to the length that a valid one can have.
func (f *form) take(name string, part *multipart.Part) error {
	value, err := io.ReadAll(io.LimitReader(part, maxValue+1))
	if err != nil {
		return f.failure(err)
	}
	f.options.add(name, string(value))
	return nil
}

// open returns the Upload of the file's part.
func (f *form) open(file *multipart.Part, limits Limits) (*Upload, error) {
	chosen, err := f.options.finish()
	if err != nil {
		return nil, err
	}
	if coding := file.Header.Get("Content-Transfer-Encoding"); !slices.Contains([]string{"", "binary", "8bit", "7bit"}, strings.ToLower(coding)) {
		return nil, formInvalid("The file has a Content-Transfer-Encoding; send it without an encoding.")
	}
	filename, err := filenameOfPart(file.Header.Get("Content-Disposition"))
	if err != nil {
		return nil, err
	}
	// The multipart reader has read ahead, which only makes this limit larger; the file has its own.
	f.bounded.left, f.bounded.beyond = limits.MaxSize+maxOverhead, formInvalid("More than %d bytes accompany the file.", maxOverhead)
	document := &capped{source: &filePartReader{form: f, part: file}, left: limits.MaxSize, beyond: tooLarge(limits.MaxSize)}
	return &Upload{Options: chosen, Filename: filename, Size: UnknownSize, content: document, rest: f.finish}, nil
}

// filePartReader reads the document.
type filePartReader struct {
	form *form
	part *multipart.Part
}

func (r *filePartReader) Read(p []byte) (int, error) {
	n, err := r.part.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // the library returns io.EOF itself, at the closing boundary only
		return n, err
	}
	return n, r.form.failure(err)
}

// finish reads what follows the file. Only an epilogue of limited size is allowed.
func (f *form) finish() error {
	f.bounded.left, f.bounded.beyond = maxOverhead, formInvalid("More than %d bytes follow the file.", maxOverhead)
	var late []problem.Field
	for {
		part, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if part.FormName() == filePart || part.FileName() != "" {
			return problem.New(problem.FileRepeated, "The form has a second file.")
		}
		if len(late) == maxFields {
			return formInvalid("The form has more than %d options.", maxFields)
		}
		late = append(late, problem.Field{Name: problem.Excerpt(part.FormName()), Detail: "follows the file; options must precede it"})
	}
	if len(late) > 0 {
		return problem.New(problem.OptionInvalid, "The form has options after the file.").With(late...)
	}
	if _, err := io.Copy(io.Discard, f.bounded); err != nil {
		return f.failure(err)
	}
	return nil
}

// next returns the next part as it was sent: the library's NextPart would decode quoted-printable.
func (f *form) next() (*multipart.Part, error) {
	part, err := f.parts.NextRawPart()
	if err == io.EOF && f.closing.seen { // the library also returns it, wrapped or not, for a truncated form
		return nil, io.EOF
	}
	if err != nil {
		return nil, f.failure(err)
	}
	if part.FormName() == "" {
		return nil, formInvalid("A part has no Content-Disposition of type form-data with a name.")
	}
	return part, nil
}

// closing looks for the closing boundary: the library returns a plain io.EOF for a form that has one, but also for a
// form that is truncated in the headers of a part.
type closing struct {
	source io.Reader
	mark   []byte
	tail   []byte // the last bytes before the next read, less than the mark
	seen   bool
}

func newClosing(source io.Reader, boundary string) *closing {
	return &closing{source: source, mark: []byte("\n--" + boundary + "--"), tail: []byte("\n")}
}

func (c *closing) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	if c.seen {
		return n, err
	}
	read, overlap := p[:n], len(c.mark)-1
	c.tail = append(c.tail, read[:min(n, overlap)]...)
	c.seen = bytes.Contains(c.tail, c.mark) || bytes.Contains(read, c.mark)
	if n > overlap {
		c.tail = append(c.tail[:0], read[n-overlap:]...)
	} else if extra := len(c.tail) - overlap; extra > 0 {
		c.tail = append(c.tail[:0], c.tail[extra:]...)
	}
	return n, err
}

// failure returns why the form could not be read: the problem of the body if it has one, or else that the form is
// invalid, which is the meaning of the library's errors.
func (f *form) failure(err error) error {
	if broken := f.body.broken(); broken != nil {
		return broken
	}
	if known, ok := errors.AsType[*problem.Error](err); ok {
		return known
	}
	return formInvalid("The form ends without its closing boundary, or a part is malformed.").Because(opaque(err))
}

func formInvalid(format string, args ...any) *problem.Error {
	return problem.New(problem.FormInvalid, format, args...)
}
