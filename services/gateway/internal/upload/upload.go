// Package upload reads one document from a request, as a form or as the raw body, while it arrives. It holds no more of it
// than a few KiB, and whatever is wrong with the request, down to a field that comes after the file, ends the reading of
// the document with one [*problem.Error]: who has read to io.EOF has a request that is right as a whole.
package upload

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/capabilities"
)

// UnknownSize is the size of a document whose end is not known beforehand: every one in a form.
const UnknownSize int64 = -1

// Limits bound what a client may send.
type Limits struct {
	// MaxSize is the largest document, in bytes.
	MaxSize int64
	// Idle is how long the client may send nothing at all.
	Idle time.Duration
	// Secrets says whether options that are secret are taken: there is a key to seal them with.
	Secrets bool
	// Formats are those that are offered.
	Formats []capabilities.Format
}

// Upload is one document on its way in. It is for one goroutine at a time.
type Upload struct {
	Options Options
	// Filename is the client's name for the document, without any folder: UTF-8, 1 to 255 bytes, no control characters.
	Filename string
	// Size is the document's exact size in bytes, or UnknownSize.
	Size int64

	content io.Reader
	rest    func() error
	failure error
	ended   bool
}

// Receive reads the request up to the document's first byte. The document is read from the Upload, and from then on the
// request's body belongs to it. Its errors are problems.
func Receive(w http.ResponseWriter, r *http.Request, limits Limits) (*Upload, error) {
	body := newBody(w, r, limits.Idle)
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, headerInvalid("Content-Encoding", "must be left out: send the document as it is")
	}
	options := newCollector(limits)
	options.addQuery(r.URL.RawQuery)
	contentType := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Type")))
	if strings.HasPrefix(contentType, "multipart/") {
		mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil {
			return nil, problem.New(problem.FormInvalid, "The Content-Type of the request cannot be read.").Because(opaque(err))
		}
		return receiveForm(body, r.ContentLength, mediaType, params["boundary"], options, limits)
	}
	return receiveRaw(body, r, options, limits)
}

// Read gives the next bytes of the document. At its end it first reads what is left of the request and checks it:
// io.EOF means that all of it is right. Every other error is a problem and final.
func (u *Upload) Read(p []byte) (int, error) {
	if u.failure != nil {
		return 0, u.failure
	}
	if u.ended {
		return 0, io.EOF
	}
	n, err := u.content.Read(p)
	if errors.Is(err, io.EOF) {
		if err = u.rest(); err == nil {
			u.ended = true
			return n, io.EOF
		}
	}
	u.failure = err
	return n, err
}

// receiveRaw takes the whole body as the document, and its name from Content-Disposition.
func receiveRaw(body *body, r *http.Request, options *collector, limits Limits) (*Upload, error) {
	chosen, err := options.finish()
	if err != nil {
		return nil, err
	}
	disposition := r.Header.Values("Content-Disposition")
	if len(disposition) == 0 {
		return nil, problem.New(problem.FileMissing, "The request is neither a form nor names its body in a Content-Disposition header.").
			With(problem.Field{Name: "Content-Disposition", Detail: dispositionWanted})
	}
	if len(disposition) > 1 {
		return nil, headerInvalid("Content-Disposition", "must be there once")
	}
	filename, err := filenameOf(disposition[0])
	if err != nil {
		return nil, err
	}
	if r.ContentLength > limits.MaxSize {
		return nil, tooLarge(limits.MaxSize)
	}
	return &Upload{
		Options: chosen, Filename: filename, Size: r.ContentLength,
		content: &capped{source: body, left: limits.MaxSize, beyond: tooLarge(limits.MaxSize)},
		rest:    func() error { return nil },
	}, nil
}

func headerInvalid(name, detail string) *problem.Error {
	return problem.New(problem.HeaderInvalid, "The header %s cannot be used.", name).With(problem.Field{Name: name, Detail: detail})
}
