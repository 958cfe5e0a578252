// Package upload reads one document from a request, as a form or as the raw body, while it arrives. It holds no more
// than a few KiB of it. Any error in the request, even in a field that follows the file, ends the reading of the
// document with a [*problem.Error]: a reader that has reached io.EOF has a request that is valid as a whole.
package upload

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/admission"
)

// UnknownSize is the size of a document whose length is not known in advance, such as any in a form.
const UnknownSize int64 = -1

// Limits limit what a client may send.
type Limits struct {
	// MaxSize is the largest document, in bytes.
	MaxSize int64
	// Idle is how long the client may send nothing.
	Idle time.Duration
	// MinRate is the minimum average rate in bytes per second, measured over a time of Idle; 0 means no minimum.
	MinRate int64
	// Secrets reports whether secret options are accepted, because there is a key to seal them with.
	Secrets bool
	// Webhooks reports whether the options for webhooks are accepted.
	Webhooks bool
	// Offer is what the converters support.
	Offer fleet.Offer
	// Precheck is Admit as far as nothing is read for it. It is called first: a request that it rejects does not take the place of an upload.
	Precheck func(ctx context.Context) error
	// Admit returns a problem if no document should be received now; nil means that there is no such condition. It is called
	// after the upload has entered the gate, so that the gate also limits the cost of requests without a document.
	Admit func(ctx context.Context) error
	// Gate limits concurrent uploads; nil means no limit.
	Gate *admission.Gate
}

// Upload is a document that is being received. It must not be used concurrently.
type Upload struct {
	Options Options
	// Filename is the client's name for the document, without any directory: UTF-8, 1 to 255 bytes, no control characters.
	Filename string
	// Size is the document's exact size in bytes, or UnknownSize.
	Size int64

	content io.Reader
	rest    func() error
	failure error
	ended   bool
	ticket  *admission.Ticket
}

// Retry-After of uploads that get no place.
const busyRetryAfter = 2 * time.Second

// Receive reads the request up to the document's first byte. The document is read from the Upload, which owns the
// request's body from then on. The caller closes the Upload. Errors are problems.
func Receive(w http.ResponseWriter, r *http.Request, limits Limits) (*Upload, error) {
	body := newBody(w, r, limits)
	if limits.Precheck != nil {
		if err := limits.Precheck(r.Context()); err != nil {
			return nil, err
		}
	}
	if limits.Gate == nil {
		return receiveAdmitted(body, r, limits)
	}
	ticket, err := limits.Gate.Enter(admission.Client(r.RemoteAddr), body)
	if err != nil {
		return nil, problem.New(problem.Busy, "Too many uploads are open.").After(busyRetryAfter).Because(err)
	}
	upload, err := receiveAdmitted(body, r, limits)
	if err != nil {
		ticket.Leave()
		return nil, err
	}
	upload.ticket = ticket
	return upload, nil
}

func receiveAdmitted(body *body, r *http.Request, limits Limits) (*Upload, error) {
	if limits.Admit != nil {
		if err := limits.Admit(r.Context()); err != nil {
			return nil, err
		}
	}
	return receiveBody(body, r, limits)
}

// Start takes one of the slots for uploads that are stored. The caller calls it once, when the document's first bytes
// have arrived and before it allocates much for the rest. The slot is held until Close. Errors are problems.
func (u *Upload) Start(ctx context.Context) error {
	if u.ticket == nil {
		return nil
	}
	err := u.ticket.Start(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, admission.ErrNoSlot):
		return problem.New(problem.Busy, "Too many uploads are being stored.").After(busyRetryAfter).Because(err)
	case errors.Is(err, admission.ErrLagged), errors.Is(err, admission.ErrShared):
		return displaced(err)
	default:
		return problem.New(problem.UploadInterrupted, "The client disconnected while the upload waited for its turn.").Because(err)
	}
}

// Close ends the upload, whether or not it was read to its end.
func (u *Upload) Close() {
	if u.ticket != nil {
		u.ticket.Leave()
	}
}

func receiveBody(body *body, r *http.Request, limits Limits) (*Upload, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, headerInvalid("Content-Encoding", "must be omitted: send the document without a content coding")
	}
	options := newCollector(limits)
	options.addQuery(r.URL.RawQuery)
	contentType := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Type")))
	if strings.HasPrefix(contentType, "multipart/") {
		mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil {
			return nil, problem.New(problem.FormInvalid, "The Content-Type of the request cannot be parsed.").Because(opaque(err))
		}
		return receiveForm(body, r.ContentLength, mediaType, params["boundary"], options, limits)
	}
	return receiveRaw(body, r, options, limits)
}

// Read reads the next bytes of the document. At its end it first reads and checks the rest of the request: io.EOF means
// that all of it is valid. Every other error is a problem and permanent.
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

// receiveRaw uses the whole body as the document and takes its name from Content-Disposition.
func receiveRaw(body *body, r *http.Request, options *collector, limits Limits) (*Upload, error) {
	chosen, err := options.finish()
	if err != nil {
		return nil, err
	}
	disposition := r.Header.Values("Content-Disposition")
	if len(disposition) == 0 {
		return nil, problem.New(problem.FileMissing, "The request is not a form and has no Content-Disposition header that names the body.").
			With(problem.Field{Name: "Content-Disposition", Detail: dispositionWanted})
	}
	if len(disposition) > 1 {
		return nil, headerInvalid("Content-Disposition", "must occur once")
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
	return problem.New(problem.HeaderInvalid, "The header %s is invalid.", name).With(problem.Field{Name: name, Detail: detail})
}
