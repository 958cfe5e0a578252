package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/docmill/docmill/contract/jobapi"
)

const (
	// webhookSecret signs the webhooks.
	webhookSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" //nolint:gosec // it protects nothing
	// webhookTimeout is how long Docmill waits for the receiver.
	webhookTimeout = 2 * time.Second
)

// receiver receives the webhooks of all clients. Often it does not accept them at first, but always the third time: otherwise the
// next attempts would take longer than a run. It is safe for concurrent use.
type receiver struct {
	// url is the address, to which each client adds the tag of its submission.
	url      string
	server   *http.Server
	verifier *standardwebhooks.Webhook
	ledger   *ledger

	mutex sync.Mutex
	hooks map[string]*hook // by the header webhook-id
}

// hook is a webhook that has arrived at least once.
type hook struct {
	tag, event, jobID string
	generation        int32
	body              []byte
	// attempts counts its requests, and accepted those that were accepted.
	attempts, accepted int
}

// newReceiver starts a receiver. The caller closes it.
func newReceiver(ctx context.Context, l *ledger) (*receiver, error) {
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	if err != nil {
		return nil, fmt.Errorf("start the receiver of webhooks: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the receiver of webhooks: %w", err)
	}
	r := &receiver{url: "http://" + listener.Addr().String() + hooksPath, verifier: verifier, ledger: l, hooks: make(map[string]*hook)}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(listener) }() // until close
	return r, nil
}

const hooksPath = "/hooks"

func (r *receiver) close() { _ = r.server.Close() }

// ServeHTTP receives one request.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	const limit = 1 << 20
	body, err := io.ReadAll(io.LimitReader(request.Body, limit))
	if err != nil {
		return // the sender was killed
	}
	tag, found := strings.CutPrefix(request.URL.Path, hooksPath+"/")
	if !found || request.Method != http.MethodPost {
		r.ledger.violatef(misdelivered, "%s %s", request.Method, request.URL.Path)
		return
	}
	if err := r.verifier.Verify(body, request.Header); err != nil {
		r.ledger.violatef(misdelivered, "a webhook about submission %s is not genuine: %v", tag, err)
		return
	}
	r.receive(tag, request.Header.Get("Webhook-Id"), body)(w, request)
}

// receive records a genuine webhook and returns how to answer it.
func (r *receiver) receive(tag, id string, body []byte) http.HandlerFunc {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	one := r.hooks[id]
	if one == nil {
		one = &hook{tag: tag, body: body}
		r.hooks[id] = one
		r.read(one, id)
	}
	one.attempts++
	if one.tag != tag || !bytes.Equal(one.body, body) {
		r.ledger.violatef(misdelivered, "webhook %s has changed: %s", id, body)
	}
	r.checkOrder(one, id)
	answer, accepts := answerTo(id, one.attempts)
	if accepts {
		one.accepted++
	}
	return answer
}

// read reads what a new webhook is about.
func (r *receiver) read(one *hook, id string) {
	var body struct {
		Type string     `json:"type"`
		Data jobapi.Job `json:"data"`
	}
	err := json.Unmarshal(one.body, &body)
	job := body.Data
	one.event, one.jobID, one.generation = body.Type, job.ID, job.Generation
	expected := fmt.Sprintf("msg_%s_%d", strings.ReplaceAll(job.ID, "-", ""), job.Generation)
	if err != nil || id != expected || job.Tag != one.tag || body.Type != eventOf(job.Status) {
		r.ledger.violatef(misdelivered, "webhook %s about submission %s is invalid: %s", id, one.tag, one.body)
	}
}

// checkOrder checks that the webhooks about a job arrive in the order of its ends.
func (r *receiver) checkOrder(one *hook, id string) {
	for otherID, other := range r.hooks {
		switch {
		case other.jobID != one.jobID || other == one:
		case other.generation > one.generation:
			r.ledger.violatef(misdelivered, "webhook %s came after %s", id, otherID)
		case other.accepted == 0:
			r.ledger.violatef(misdelivered, "webhook %s came before %s was accepted", id, otherID)
		}
	}
}

// answerTo returns how a request is answered, and whether it is accepted. attempt counts the requests with that id from 1.
func answerTo(id string, attempt int) (answer http.HandlerFunc, accepts bool) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(id)) // never fails
	const behaviors = 12
	switch behavior := hash.Sum32() % behaviors; {
	case behavior == 0 && attempt <= 2:
		return status(http.StatusInternalServerError), false
	case attempt > 1:
		return status(http.StatusNoContent), true
	case behavior == 1:
		return hang, false
	case behavior == 2:
		return cut, false
	case behavior == 3: // the answer is lost
		return cut, true
	case behavior == 4:
		return later, false
	case behavior == 5:
		return redirect, false
	default:
		return status(http.StatusNoContent), true
	}
}

// hang does not answer in time.
func hang(_ http.ResponseWriter, request *http.Request) {
	select {
	case <-time.After(2 * webhookTimeout):
	case <-request.Context().Done():
	}
}

// later asks for another attempt after some time.
func later(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "2")
	w.WriteHeader(http.StatusServiceUnavailable)
}

// redirect answers with a redirect, which must not be followed.
func redirect(w http.ResponseWriter, request *http.Request) {
	http.Redirect(w, request, "/elsewhere", http.StatusTemporaryRedirect)
}

// accepted reports whether the receiver has accepted a webhook about the end of a generation of a job, and how it ended by that.
func (r *receiver) accepted(jobID string, generation int32) (event string, found bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	one := r.hooks[fmt.Sprintf("msg_%s_%d", strings.ReplaceAll(jobID, "-", ""), generation)]
	if one == nil {
		return "", false
	}
	return one.event, one.accepted > 0
}

// missing returns the generations whose end the client has seen and should have been told of, but was not. The caller is busy with
// the submission, or it is closed.
func (r *receiver) missing(s *submission) (generations []int32) {
	for generation, status := range s.ends {
		if _, accepted := r.accepted(s.id, generation); !accepted && s.wish.wants(eventOf(status)) {
			generations = append(generations, generation)
		}
	}
	return generations
}

// audit checks all webhooks at the end.
func (r *receiver) audit() {
	for _, s := range r.ledger.submissions() {
		s.mutex.Lock()
		for _, generation := range r.missing(s) {
			r.ledger.blamef(s, undelivered, "its client was not told that generation %d is %s", generation, s.ends[generation])
		}
		s.mutex.Unlock()
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for id, one := range r.hooks {
		if reason := r.unexpected(one); reason != "" {
			r.ledger.violatef(misdelivered, "webhook %s (%s) about submission %s: %s", id, one.event, one.tag, reason)
		}
	}
}

// unexpected returns why a webhook must not have been sent; empty if it may.
func (r *receiver) unexpected(one *hook) string {
	s, unknown := r.ledger.outcome(one.tag)
	switch {
	case !draw(one.tag).wants(one.event):
		return "the client does not want it"
	case s == nil && !unknown:
		return "the submission was refused"
	case one.event == eventOf(jobapi.Canceled) && (s == nil || !s.wish.canceling):
		return "nobody has canceled the job"
	case s == nil:
		return ""
	case s.id != one.jobID:
		return "the job is " + s.id
	}
	if seen, known := s.ends[one.generation]; known && eventOf(seen) != one.event {
		return "the client has seen that it is " + string(seen)
	}
	return ""
}

// counts returns how many webhooks have arrived, with how many requests, and how many were accepted more than once.
func (r *receiver) counts() (hooks, attempts, again int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, one := range r.hooks {
		attempts += one.attempts
		again += ones(one.accepted > 1)
	}
	return len(r.hooks), attempts, again
}
