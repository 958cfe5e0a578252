package chaos

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"net/http"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/contract/jobapi"
)

// wish is what a client wants to do with its job, and what it has done so far.
type wish struct {
	// cancel is when the client cancels the job, whatever its state is; zero if it does not. retry means that it retries a job that
	// has failed or was canceled, once, and remove that it deletes the job in the end, or at the time of cancel.
	cancel        time.Time
	retry, remove bool

	// canceling means that the client has tried to cancel the job, retried that it has retried it, and deleted that the job was
	// deleted.
	canceling, retried, deleted bool
	canceled                    bool // the request was answered
}

// draw draws the wish of a client by the id of its job: most clients only wait.
func draw(id string) wish {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(id)) // never fails
	drawn := hash.Sum32() % 100
	soon := time.Now().Add(time.Duration(drawn%10) * 300 * time.Millisecond)
	switch {
	case drawn < 8:
		return wish{cancel: soon}
	case drawn < 16:
		return wish{cancel: soon, retry: true}
	case drawn < 20:
		return wish{retry: true}
	case drawn < 25:
		return wish{cancel: soon, remove: true}
	case drawn < 30:
		return wish{remove: true}
	default:
		return wish{}
	}
}

// pending reports whether the client still wants something of the job in this state.
func (w wish) pending(job jobapi.Job) bool {
	retriable := job.Status == jobapi.Failed || job.Status == jobapi.Canceled
	return w.remove && !w.deleted || w.retry && !w.retried && retriable
}

// act does what the client wants now. A request that was not answered, or with 503, is repeated.
func (p *poller) act(ctx context.Context, s *submission) {
	w, last := &s.wish, s.seen()
	switch {
	case w.remove && !w.deleted && (s.checked || !w.cancel.IsZero() && time.Now().After(w.cancel)):
		p.remove(ctx, s)
	case !w.remove && !w.cancel.IsZero() && !w.canceled && time.Now().After(w.cancel):
		p.cancel(ctx, s)
	case w.retry && !w.retried && s.checked && w.pending(last):
		p.retry(ctx, s)
	}
}

func (p *poller) cancel(ctx context.Context, s *submission) {
	s.wish.canceling = true
	status, body, err := p.send(ctx, http.MethodPost, "/v1/jobs/"+s.id+"/cancel")
	switch {
	case err != nil:
	case status == http.StatusOK:
		s.wish.canceled = true
		var job jobapi.Job
		if err := json.Unmarshal(body, &job); err != nil || job.Status != jobapi.Canceled {
			p.ledger.blamef(s, wrong, "it is %s after it was canceled", job.Status)
		}
	case status == http.StatusConflict && code(body) == client.CodeJobNotCancelable:
		s.wish.canceled = true
	default:
		p.refused(s, status, body)
	}
}

func (p *poller) retry(ctx context.Context, s *submission) {
	status, body, err := p.send(ctx, http.MethodPost, "/v1/jobs/"+s.id+"/retry")
	switch {
	case err != nil:
	case status == http.StatusAccepted:
		s.wish.retried, s.checked, s.closed = true, false, false
		s.finished.Store(false)
	default:
		p.refused(s, status, body)
	}
}

func (p *poller) remove(ctx context.Context, s *submission) {
	status, body, err := p.send(ctx, http.MethodDelete, "/v1/jobs/"+s.id)
	switch {
	case err != nil:
	case status == http.StatusNoContent, status == http.StatusGone && code(body) == client.CodeJobDeleted: // an earlier request did it
		s.wish.deleted = true
		s.finished.Store(true)
	default:
		p.refused(s, status, body)
	}
}

// requireGone looks at a deleted job once, later.
func (p *poller) requireGone(ctx context.Context, s *submission) {
	status, body, err := p.request(ctx, "/v1/jobs/"+s.id)
	switch {
	case err != nil:
	case status == http.StatusGone && code(body) == client.CodeJobDeleted:
		if s.checked {
			s.closed = true
		}
		s.checked = true
		s.due = time.Now().Add(reviewAfter)
	case status == http.StatusOK:
		p.ledger.blamef(s, revived, "it was deleted, and is seen again")
		s.closed = true
	default:
		p.refused(s, status, body)
	}
}

// code returns the code of a problem; empty if there is none.
func code(body []byte) client.Code {
	var problem client.Problem
	_ = json.Unmarshal(body, &problem) // without a code it is undocumented
	return problem.Code
}
