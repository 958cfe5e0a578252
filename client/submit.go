package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// UnknownSize is the size of a document whose size is not known in advance.
const UnknownSize int64 = -1

// SubmitOption changes one submission.
type SubmitOption func(*submission)

type submission struct {
	key      string
	options  map[string]string
	progress func(sent, total int64)
}

// WithOptions sets options of the conversion by their names in the API, such as "to", "pages" or "password". Their values
// are written as in a form: "true", "300", "1-3". [Client.Formats] lists them.
func WithOptions(options map[string]string) SubmitOption {
	return func(s *submission) { s.options = options }
}

// WithIdempotencyKey sets the key of the submission, 1 to 255 printable ASCII characters, instead of a random one.
// Submissions with the same key return the same job, even from other programs, as long as the job exists. They must have
// the same document, name and options; otherwise the error has [CodeIdempotencyKeyReused].
func WithIdempotencyKey(key string) SubmitOption {
	return func(s *submission) { s.key = key }
}

// WithProgress sets a function that is called while the document is uploaded, with the number of bytes that were handed
// to the network and the size of the document, or [UnknownSize]. It is called by another goroutine, one call at a time,
// and not after the submission has returned. If the document is sent again, the count starts again.
func WithProgress(report func(sent, total int64)) SubmitOption {
	return func(s *submission) { s.progress = report }
}

// SubmitFile uploads the file at path, under its own name, and returns its job. See [Client.Submit].
func (c *Client) SubmitFile(ctx context.Context, path string, options ...SubmitOption) (Job, error) {
	file, err := os.Open(path)
	if err != nil {
		return Job{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Job{}, err
	}
	size := info.Size()
	if !info.Mode().IsRegular() {
		size = UnknownSize
	}
	return c.Submit(ctx, filepath.Base(path), file, size, options...)
}

// Submit uploads a document, read from its present position to its end, and returns its job, which Docmill will not lose.
// name is the file name with its extension. size is in bytes, or [UnknownSize]. The document is not read after Submit has
// returned; the end of ctx does not interrupt a read that blocks.
//
// A submission that failed is repeated (see [Retries]) if the document is an [io.Seeker] or nothing of it was sent. All
// tries have the same idempotency key, so the document is converted once even if the response to a try was lost. (A server
// that predates idempotency keys may convert it twice.) If the document cannot be sent again after
// [CodeQueueUnconfirmed], Submit looks for the job and returns it if it exists.
func (c *Client) Submit(ctx context.Context, name string, document io.Reader, size int64, options ...SubmitOption) (Job, error) {
	s := submission{key: rand.Text(), progress: func(int64, int64) {}}
	for _, apply := range options {
		apply(&s)
	}
	f, err := newForm(name, s.options)
	if err != nil {
		return Job{}, err
	}
	rewind := rewinder(document)
	tries := backoff{limits: c.retries}
	for {
		body := newUpload(f, document, size, s.progress)
		job, err := c.post(ctx, f, s.key, body)
		sent := body.detach()
		if err == nil {
			return job, nil
		}
		if sent > 0 && rewind == nil {
			return c.unconfirmed(ctx, err)
		}
		if !repeatable(err) {
			return Job{}, err
		}
		if err := tries.wait(ctx, err); err != nil {
			return Job{}, err
		}
		if sent > 0 {
			if err := rewind(); err != nil {
				return Job{}, fmt.Errorf("read the document again: %w", err)
			}
		}
	}
}

// unconfirmed looks for the job of a submission that the server's queue did not confirm in time, and returns the error of
// that submission if there is none. A job that is not found may still appear later.
func (c *Client) unconfirmed(ctx context.Context, err error) (Job, error) {
	problem, ok := errors.AsType[*Problem](err)
	if !ok || problem.Code != CodeQueueUnconfirmed || problem.Job == "" {
		return Job{}, err
	}
	for tries := (backoff{limits: c.retries}); tries.wait(ctx, problem) == nil; {
		job, err := c.Job(ctx, problem.Job)
		if err == nil {
			return job, nil
		}
		if !IsCode(err, CodeJobNotFound) {
			break
		}
	}
	return Job{}, err
}

// post sends the form once.
func (c *Client) post(ctx context.Context, f form, key string, body *upload) (Job, error) {
	request, err := c.newRequest(ctx, http.MethodPost, "/v1/jobs", body)
	if err != nil {
		return Job{}, err
	}
	request.ContentLength = UnknownSize
	if body.size >= 0 {
		request.ContentLength = int64(len(f.head)) + body.size + int64(len(f.tail))
	}
	request.Header.Set("Content-Type", f.contentType)
	request.Header.Set("Idempotency-Key", quoted(key))
	response, err := c.send(request)
	if err != nil {
		return Job{}, err
	}
	defer response.Body.Close()
	var job Job
	if err := decode(response, &job); err != nil {
		return Job{}, err
	}
	if job.ID == "" {
		return Job{}, fmt.Errorf("the answer of %s has no job", request.URL.Redacted())
	}
	return job, nil
}

// quoted returns a string of RFC 8941.
func quoted(key string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}

// repeatable reports whether a submission that failed may succeed if it is repeated under its key.
func repeatable(err error) bool {
	problem, ok := errors.AsType[*Problem](err)
	return !ok || problem.temporary() || problem.faulty() || problem.Code == CodeUploadInterrupted
}

// rewinder returns a function that sets the document back to its present position, or nil if it cannot be read again.
func rewinder(document io.Reader) func() error {
	seeker, ok := document.(io.Seeker)
	if !ok {
		return nil
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil { // a pipe is an *os.File too
		return nil
	}
	return func() error {
		_, err := seeker.Seek(start, io.SeekStart)
		return err
	}
}
