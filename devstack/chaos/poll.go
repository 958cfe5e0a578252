package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/contract/jobapi"
)

const (
	// pollers is how many jobs are polled at the same time.
	pollers = 12
	// pollInterval is how often each unfinished job is polled. A job that has ended is polled once more after reviewAfter: it
	// must not have changed.
	pollInterval = time.Second
	reviewAfter  = 10 * time.Second
	pollTimeout  = 20 * time.Second
)

// poller follows all accepted jobs through all gateways, and records whatever is illegal.
type poller struct {
	balancer *balancer
	ledger   *ledger
	load     *load
	http     *http.Client
}

// run polls until ctx ends.
func (p *poller) run(ctx context.Context) {
	const pause = 50 * time.Millisecond
	places := make(chan struct{}, pollers)
	for ctx.Err() == nil {
		for _, s := range p.ledger.submissions() {
			if !s.take() {
				continue
			}
			places <- struct{}{}
			go func() {
				defer func() { <-places }()
				p.poll(ctx, s)
			}()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	for range pollers {
		places <- struct{}{} // waits for the last polls
	}
}

// take makes the caller the one who polls the job, if a poll is due.
func (s *submission) take() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.busy || s.closed || time.Now().Before(s.due) {
		return false
	}
	s.busy = true
	return true
}

// release ends take.
func (s *submission) release() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.busy = false
}

// poll looks at the job once.
func (p *poller) poll(ctx context.Context, s *submission) {
	defer s.release()
	s.due = time.Now().Add(pollInterval)
	if s.wish.goneCode() != "" {
		p.requireGone(ctx, s)
		return
	}
	p.act(ctx, s)
	if s.wish.goneCode() != "" {
		return
	}
	began := time.Now()
	job, ok := p.get(ctx, s)
	if !ok {
		return
	}
	p.ledger.see(s, job)
	if job.Status == jobapi.Queued && job.Attempt > s.retried {
		s.retried = job.Attempt
		p.ledger.retries.Add(1)
	}
	s.finished.Store(job.Status.Terminal())
	switch {
	case !job.Status.Terminal():
	case s.wish.expires && s.checked:
		p.awaitExpiry(s, began)
	case s.checked && !s.wish.pending(job):
		s.closed = true
	case s.checked: // until it has its wish
	case p.check(ctx, s, job):
		s.checked = true
		if !s.wish.pending(job) {
			s.due = time.Now().Add(reviewAfter)
		}
	}
}

// clockError is by how much the clock of the database, as the status service computes it between two readings, may differ from
// that of this machine.
const clockError = time.Second

// checkExpiry checks when the files of a job that has ended are deleted.
func (p *poller) checkExpiry(s *submission, job jobapi.Job) {
	if job.ExpiresAt == nil || job.FinishedAt == nil {
		p.ledger.blamef(s, undocumented, "it has ended, and has no expires_at")
		return
	}
	least := defaultRetention
	if s.wish.expires {
		least = keptFor
	}
	if kept := job.ExpiresAt.Sub(*job.FinishedAt); kept < least-clockError || s.wish.expires && kept > least+recoveryTimeout {
		p.ledger.blamef(s, premature, "it is kept for %s instead of %s", kept, least)
	}
	s.wish.expiry = *job.ExpiresAt
}

// defaultRetention is how long files are kept if the client has no wish.
const defaultRetention = 24 * time.Hour

// awaitExpiry makes the next poll that at the expiry of the job, which was seen by a request that began at a time.
func (p *poller) awaitExpiry(s *submission, began time.Time) {
	if began.After(s.wish.expiry.Add(clockError)) {
		p.ledger.blamef(s, revived, "it is seen after expires_at")
		s.closed = true
	}
	s.due = s.wish.expiry.Add(2 * clockError)
}

// isGone handles an answer that says that the job is gone, which the client did not know.
func (l *ledger) isGone(s *submission, found client.Code) {
	earliest := s.wish.expiry
	if earliest.IsZero() { // the client has not seen the end
		earliest = s.at.Add(keptFor)
	}
	switch {
	case found == client.CodeJobDeleted && s.wish.removing: // the answer to the request to delete it was lost
		s.gone(&s.wish.deleted)
	case found == client.CodeJobExpired && s.wish.expires && time.Since(earliest) > -clockError:
		s.gone(&s.wish.expired)
	default:
		l.blamef(s, premature, "answered with %s", found)
	}
}

// get requests the state of the job. It returns false if it is not available now.
func (p *poller) get(ctx context.Context, s *submission) (job jobapi.Job, ok bool) {
	status, body, err := p.request(ctx, "/v1/jobs/"+s.id)
	if err != nil {
		return job, false
	}
	switch status {
	case http.StatusOK:
		if err := json.Unmarshal(body, &job); err != nil {
			p.ledger.blamef(s, undocumented, "the job cannot be decoded: %v", err)
			return job, false
		}
		return job, true
	case http.StatusNotFound:
		p.ledger.blamef(s, undocumented, "answered with 404")
		return job, false
	case http.StatusGone:
		p.ledger.isGone(s, code(body))
		return job, false
	default:
		p.refused(s, status, body)
		return job, false
	}
}

// request gets a path through one of the gateways.
func (p *poller) request(ctx context.Context, path string) (status int, body []byte, err error) {
	return p.send(ctx, http.MethodGet, path)
}

// send sends a request without a body through one of the gateways.
func (p *poller) send(ctx context.Context, method, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	epoch := p.ledger.epoch.Load()
	request, err := http.NewRequestWithContext(ctx, method, p.balancer.choose().URL+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	response, err := p.http.Do(request)
	if err != nil {
		p.ledger.answer("no answer")
		p.ledger.disconnected(path, epoch, err)
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		p.ledger.answer("incomplete answer")
		p.ledger.disconnected(path, epoch, err)
	}
	return response.StatusCode, body, err
}

// refused records an answer other than 200.
func (p *poller) refused(s *submission, status int, body []byte) {
	found := code(body)
	p.ledger.answer(fmt.Sprintf("%d %s", status, found))
	if status != http.StatusServiceUnavailable || found == "" {
		p.ledger.blamef(s, undocumented, "answered with %d: %s", status, body)
	}
}

// check checks the end of a job. It returns false if the result is not available now.
func (p *poller) check(ctx context.Context, s *submission, job jobapi.Job) bool {
	if job.Source.SHA256 != s.sum || job.Tag != s.tag {
		p.ledger.blamef(s, wrong, "it is that of another submission")
	}
	p.checkExpiry(s, job)
	if job.Status != jobapi.Succeeded {
		p.checkFailure(s, job)
		return true
	}
	if s.kind.pages == 0 {
		p.ledger.blamef(s, wrong, "succeeded")
		return true
	}
	status, body, err := p.request(ctx, "/v1/jobs/"+s.id+"/result")
	if err != nil {
		return false
	}
	if status == http.StatusGone {
		p.ledger.isGone(s, code(body))
		return false
	}
	if status != http.StatusOK {
		p.refused(s, status, body)
		return false
	}
	sum := sha256.Sum256(body)
	if got := hex.EncodeToString(sum[:]); job.Result == nil || got != job.Result.SHA256 || int64(len(body)) != job.Result.Size {
		p.ledger.blamef(s, wrong, "the result of %d bytes with SHA-256 %s is not the one that the job describes", len(body), got)
		return true
	}
	if int(job.Result.Pages) != s.kind.pages {
		p.ledger.blamef(s, wrong, "the result has %d pages instead of %d", job.Result.Pages, s.kind.pages)
	}
	if s.kind.signed && !contains(ctx, body, s.tag) {
		p.ledger.blamef(s, wrong, "the result does not have the text of its document")
	}
	return true
}

func (p *poller) checkFailure(s *submission, job jobapi.Job) {
	if job.Status == jobapi.Canceled {
		if !s.wish.canceling || job.Generation > 0 && !s.wish.stray {
			p.ledger.blamef(s, wrong, "nobody has canceled its generation %d", job.Generation)
		}
		return
	}
	code, detail := client.Code(""), "no reason"
	if job.Error != nil {
		code, detail = client.Code(job.Error.Code), job.Error.Detail
	}
	switch {
	case s.kind.fails(code):
	case s.kind.pages > 0:
		p.ledger.blamef(s, innocent, "%s at attempt %d: %s: %s", job.Status, job.Attempt, code, detail)
	default:
		p.ledger.blamef(s, wrong, "%s with %s: %s", job.Status, code, detail)
	}
}

// contains reports whether a PDF has a text.
func contains(ctx context.Context, pdf []byte, text string) bool {
	command := exec.CommandContext(ctx, "pdftotext", "-", "-")
	command.Stdin = bytes.NewReader(pdf)
	output, err := command.Output()
	return err != nil && ctx.Err() != nil || bytes.Contains(output, []byte(text))
}
