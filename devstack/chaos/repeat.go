package chaos

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/docmill/docmill/client"
)

// document is a document that a client submits, with a key of its own: its tag.
type document struct {
	kind    kind
	tag     string
	content []byte
}

// document returns the document of the submission with a tag.
func (k kind) document(testdata, tag string) (document, error) {
	content, err := k.content(testdata, tag)
	return document{kind: k, tag: tag, content: content}, err
}

// answer is the answer to a request that submitted a document.
type answer struct {
	job client.Job
	// replayed means that the gateway says that the job is that of an earlier request.
	replayed bool
	err      error
}

// uncertain reports whether the document may have been accepted although the request failed.
func (a answer) uncertain() bool {
	problem, ok := errors.AsType[*client.Problem](a.err)
	return a.err != nil && (!ok || problem.Code == client.CodeQueueUnconfirmed)
}

// temporary reports whether a repeated request may have another answer.
func (a answer) temporary() bool {
	problem, ok := errors.AsType[*client.Problem](a.err)
	return a.err != nil && (!ok || problem.Status == http.StatusServiceUnavailable)
}

// code returns the code of the problem; empty if there is none.
func (a answer) code() client.Code {
	if problem, ok := errors.AsType[*client.Problem](a.err); ok {
		return problem.Code
	}
	return ""
}

// send submits a document with one request through one of the gateways.
func (l *load) send(ctx context.Context, d document) answer {
	ctx, cancel := context.WithTimeout(ctx, submissionTimeout)
	defer cancel()
	options := draw(d.tag).options(d.tag, l.receiver)
	maps.Copy(options, d.kind.options)
	epoch := l.ledger.epoch.Load()
	header := &headers{next: l.http.Transport}
	to := client.New(l.balancer.choose().URL, client.WithHTTPClient(&http.Client{Transport: header}), client.WithRetries(client.Retries{Tries: 1}))
	job, err := to.Submit(ctx, filepath.Base(d.kind.file), bytes.NewReader(d.content), int64(len(d.content)),
		client.WithOptions(options), client.WithIdempotencyKey(d.tag))
	if err != nil {
		l.ledger.disconnected("submission of "+d.kind.name, epoch, err)
	}
	got := answer{job: job, replayed: header.last.Get("Idempotent-Replayed") == "true", err: err}
	if got.uncertain() || got.code() == client.CodeStoreUnavailable {
		l.ledger.doubtful.Add(1)
	}
	return got
}

// headers keeps the headers of the last answer.
type headers struct {
	next http.RoundTripper
	last http.Header
}

// RoundTrip implements http.RoundTripper.
func (h *headers) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := h.next.RoundTrip(request)
	if err == nil {
		h.last = response.Header
	}
	return response, err
}

// insist submits a document with several requests at the same time. Each is repeated until it has a final answer, but not for ever:
// after the death of a gateway, the outcome may be unknown for two minutes.
func (l *load) insist(ctx context.Context, d document, copies int) []answer {
	const pause, patience = 2 * time.Second, 3 * time.Minute
	until := time.Now().Add(patience)
	answers := make([]answer, copies)
	var sending sync.WaitGroup
	for i := range answers {
		sending.Go(func() {
			for {
				answers[i] = l.send(ctx, d)
				l.ledger.repeats.Add(1)
				if answers[i].replayed {
					l.ledger.replays.Add(1)
				}
				if !answers[i].temporary() || time.Now().After(until) {
					return
				}
				time.Sleep(pause)
			}
		})
	}
	sending.Wait()
	return answers
}

// again submits the document of a job once more, or another document with the same key. The caller is busy with the submission. A
// request that was not answered, or with 503, is repeated later.
func (l *load) again(ctx context.Context, s *submission) {
	d, err := s.kind.document(l.testdata, s.tag)
	if err != nil {
		l.ledger.violatef(wrong, "read the document of %s again: %v", s.id, err)
		return
	}
	if s.wish.other {
		d.content = append(d.content, "\nanother document\n"...)
	}
	got := l.send(ctx, d)
	l.ledger.repeats.Add(1)
	if got.temporary() {
		return
	}
	s.wish.repeated = true
	problem, _ := errors.AsType[*client.Problem](got.err)
	switch {
	case s.wish.other:
		if got.code() != client.CodeIdempotencyKeyReused && !s.kind.fails(got.code()) {
			l.ledger.blamef(s, duplicated, "another document with its key was answered with job %q, %v", got.job.ID, got.err)
		}
	case got.err == nil:
		l.ledger.replays.Add(1)
		l.checkReplay(s, got)
	case problem.Status == http.StatusGone && problem.Code == s.wish.goneCode():
	case problem.Status == http.StatusGone:
		l.ledger.isGone(s, problem.Code)
	default:
		l.ledger.blamef(s, duplicated, "submitted again, it was answered with %v", problem)
	}
}

// checkReplay checks a job that was the answer to a repeated submission.
func (l *load) checkReplay(s *submission, got answer) {
	switch {
	case got.job.ID != s.id:
		l.ledger.blamef(s, duplicated, "submitted again, it is job %s", got.job.ID)
	case !got.replayed:
		l.ledger.blamef(s, duplicated, "submitted again, the answer does not say that it was replayed")
	case s.wish.goneCode() != "":
		l.ledger.blamef(s, revived, "it was deleted or has expired, and is seen again")
	case s.seen().Status.Terminal() && string(got.job.Status) != string(s.seen().Status):
		l.ledger.blamef(s, changed, "submitted again, it is %s instead of %s", got.job.Status, s.seen().Status)
	}
}
