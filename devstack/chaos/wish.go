package chaos

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/contract/jobapi"
)

// wish is what a client wants of its job, and what it has done so far.
type wish struct {
	// events are the ends that the client wants to be told of; empty if it wants no webhooks.
	events []jobapi.Status
	// copies is how many requests submit the document at the same time, under the same key.
	copies int
	// again means that the client submits the document again later, and other that it then uses the key for another document.
	again, other bool
	// expires means that the client wants the files to be deleted as soon as possible.
	expires bool
	// cancel is when the client cancels the job, whatever its state is; zero if it does not. retry means that it retries a job that
	// has failed or was canceled, once, and hasty that it does so as soon as the job is canceled. remove means that it deletes the
	// job in the end, or at the time of cancel.
	cancel               time.Time
	retry, hasty, remove bool

	// canceling means that the client has tried to cancel the job, and stray that it may have been canceled by a request that was
	// not answered, at any time.
	canceling, stray bool
	// retrying and removing mean that the client has tried to retry the job, and to delete it.
	retrying, removing bool
	// canceled, retried and deleted mean that the request was carried out, and repeated that the document was submitted again.
	canceled, retried, deleted, repeated bool
	// expiry is when the job expires, once that is known, and expired means that it has.
	expiry  time.Time
	expired bool
}

// keptFor is how long the files of a job are kept if its client wants them to be deleted as soon as possible: the minimum.
const keptFor = time.Minute

// draw draws the wish of a client by the tag of its submission: most clients only wait.
func draw(tag string) wish {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(tag))                    // never fails
	random := rand.New(rand.NewPCG(hash.Sum64(), 12)) //nolint:gosec // not a secret
	percent := func(n int) bool { return random.IntN(100) < n }
	w := wish{copies: 1}
	if percent(35) {
		w.events = []jobapi.Status{jobapi.Succeeded, jobapi.Failed, jobapi.Canceled}
		if percent(25) {
			w.events = w.events[:1]
		}
	}
	if percent(15) {
		w.copies = 2 + random.IntN(3)
	}
	w.again = percent(20)
	w.other = w.again && percent(30)
	w.drawEnd(random)
	return w
}

// drawEnd draws how the job ends.
func (w *wish) drawEnd(random *rand.Rand) {
	soon := time.Now() // before it starts, or while it runs
	if random.IntN(3) == 0 {
		soon = soon.Add(time.Duration(random.IntN(10)) * 300 * time.Millisecond)
	}
	switch drawn := random.IntN(100); {
	case drawn < 8:
		w.cancel = soon
	case drawn < 18:
		w.cancel, w.retry, w.hasty = soon, true, drawn < 14
	case drawn < 22:
		w.retry = true
	case drawn < 27:
		w.cancel, w.remove = soon, true
	case drawn < 32:
		w.remove = true
	case drawn < 40:
		w.expires = true
	}
}

// options returns the options of the submission of a client with that wish.
func (w wish) options(tag, receiver string) map[string]string {
	options := map[string]string{"tag": tag}
	if w.expires {
		options["expires_in"] = "60"
	}
	if len(w.events) > 0 {
		options["callback_url"] = receiver + "/" + tag
		names := make([]string, len(w.events))
		for i, status := range w.events {
			names[i] = eventOf(status)
		}
		options["callback_events"] = strings.Join(names, ",")
	}
	return options
}

// eventOf returns the type of the webhook that reports an end.
func eventOf(status jobapi.Status) string { return "job." + string(status) }

// wants reports whether the client wants to be told of an end.
func (w wish) wants(event string) bool {
	return slices.ContainsFunc(w.events, func(status jobapi.Status) bool { return eventOf(status) == event })
}

// pending reports whether the client still wants something of the job in this state.
func (w wish) pending(job jobapi.Job) bool {
	retriable := job.Status == jobapi.Failed || job.Status == jobapi.Canceled
	return w.remove && !w.deleted || w.retry && !w.retried && retriable || w.again && !w.repeated
}

// act does what the client wants now. A request that was not answered, or with 503, is repeated.
func (p *poller) act(ctx context.Context, s *submission) {
	w, last := &s.wish, s.seen()
	retriable := last.Status == jobapi.Failed || last.Status == jobapi.Canceled
	switch {
	case w.remove && !w.deleted && (s.checked || !w.cancel.IsZero() && time.Now().After(w.cancel)):
		p.remove(ctx, s)
	case !w.remove && !w.cancel.IsZero() && !w.canceled && time.Now().After(w.cancel):
		p.cancel(ctx, s)
	case w.retry && !w.retried && s.checked && retriable:
		p.retry(ctx, s)
	case w.again && !w.repeated && s.checked:
		p.load.again(ctx, s)
	}
}

func (p *poller) cancel(ctx context.Context, s *submission) {
	s.wish.canceling, s.wish.stray = true, s.wish.stray || s.wish.retrying
	status, body, err := p.send(ctx, http.MethodPost, "/v1/jobs/"+s.id+"/cancel")
	switch {
	case err != nil:
		s.wish.stray = true
	case status == http.StatusOK:
		s.wish.canceled = true
		var job jobapi.Job
		if err := json.Unmarshal(body, &job); err != nil || job.Status != jobapi.Canceled {
			p.ledger.blamef(s, wrong, "it is %s after it was canceled", job.Status)
			return
		}
		p.ledger.see(s, job)
		if s.wish.hasty {
			p.retry(ctx, s)
		}
	case status == http.StatusConflict && code(body) == client.CodeJobNotCancelable:
		s.wish.canceled = true
	default:
		s.wish.stray = true
		p.refused(s, status, body)
	}
}

func (p *poller) retry(ctx context.Context, s *submission) {
	s.wish.retrying = true
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
	s.wish.removing = true
	status, body, err := p.send(ctx, http.MethodDelete, "/v1/jobs/"+s.id)
	switch {
	case err != nil:
	case status == http.StatusNoContent, status == http.StatusGone && code(body) == client.CodeJobDeleted: // an earlier request did it
		s.gone(&s.wish.deleted)
	default:
		p.refused(s, status, body)
	}
}

// gone records that the job was deleted or has expired.
func (s *submission) gone(how *bool) {
	*how, s.checked = true, false
	s.finished.Store(true)
}

// goneCode returns the code of the answers for a job that is gone; empty if it is not.
func (w wish) goneCode() client.Code {
	switch {
	case w.deleted:
		return client.CodeJobDeleted
	case w.expired:
		return client.CodeJobExpired
	default:
		return ""
	}
}

// gone returns why the job is gone, as its row says it; empty if it is not.
func (w wish) gone() string {
	switch {
	case w.deleted:
		return "deleted"
	case w.expired:
		return "expired"
	default:
		return ""
	}
}

// requireGone looks at a job that is gone once, later.
func (p *poller) requireGone(ctx context.Context, s *submission) {
	status, body, err := p.request(ctx, "/v1/jobs/"+s.id)
	switch {
	case err != nil:
	case status == http.StatusGone && code(body) == s.wish.goneCode():
		if s.wish.again && !s.wish.repeated {
			p.load.again(ctx, s)
			return
		}
		s.closed = s.checked
		s.checked = true
		s.due = time.Now().Add(reviewAfter)
	case status == http.StatusOK:
		p.ledger.blamef(s, revived, "it was deleted or has expired, and is seen again")
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
