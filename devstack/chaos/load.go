package chaos

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/contract/jobapi"
)

const (
	// rate is how many documents are submitted per second, and backlog how many may be unfinished: a queue that only grows
	// would measure the machine.
	rate    = 5
	backlog = 80
	// submissionTimeout is how long a client waits for the answer to a submission.
	submissionTimeout = 45 * time.Second
)

// load submits documents through all gateways.
type load struct {
	balancer *balancer
	ledger   *ledger
	testdata string
	// receiver is the URL of the receiver of webhooks.
	receiver   string
	http       *http.Client
	random     *mathrand.Rand
	submitting sync.WaitGroup
}

// run submits documents until ctx ends. It returns when all submissions have been answered.
func (l *load) run(ctx context.Context) {
	ticker := time.NewTicker(time.Second / rate)
	defer ticker.Stop()
	defer l.submitting.Wait()
	places := make(chan struct{}, backlog)
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if l.ledger.unfinished()+len(places) >= backlog {
			continue
		}
		kind := l.choose()
		places <- struct{}{}
		l.submitting.Go(func() {
			defer func() { <-places }()
			_, _ = l.submit(context.WithoutCancel(ctx), kind) // the ledger has the outcome
		})
	}
}

// choose draws a kind of document by the weights.
func (l *load) choose() kind {
	all, total := kinds(), 0
	for _, k := range all {
		total += k.weight
	}
	drawn := l.random.IntN(total)
	for _, k := range all {
		if drawn -= k.weight; drawn < 0 {
			return k
		}
	}
	return all[0]
}

// submit submits a new document, once or several times under the same key, and records the outcome. It returns an error if the
// document was not accepted.
func (l *load) submit(ctx context.Context, k kind) (*submission, error) {
	d, err := k.document(l.testdata, rand.Text())
	if err != nil {
		return nil, err
	}
	w := draw(d.tag)
	answers := []answer{}
	if w.copies > 1 {
		answers = l.insist(ctx, d, w.copies)
	} else {
		answers = append(answers, l.send(ctx, d))
	}
	return l.record(d, w, answers)
}

// record records the answers to the requests that submitted a document.
func (l *load) record(d document, w wish, answers []answer) (*submission, error) {
	id, worst := "", answer{}
	for _, one := range answers {
		switch {
		case one.err == nil && id != "" && one.job.ID != id:
			l.ledger.violatef(duplicated, "submission %s (%s) has the jobs %s and %s", d.tag, d.kind.name, id, one.job.ID)
		case one.err == nil:
			id = one.job.ID
		case worst.err == nil || one.uncertain():
			worst = one
		}
	}
	if id == "" {
		l.refused(d, worst)
		return nil, worst.err
	}
	sum := sha256.Sum256(d.content)
	s := &submission{
		id: id, tag: d.tag, kind: d.kind, sum: hex.EncodeToString(sum[:]), at: time.Now(), wish: w, ends: make(map[int32]jobapi.Status),
	}
	l.ledger.accept(s)
	return s, nil
}

// refused records a submission that was not accepted.
func (l *load) refused(d document, last answer) {
	problem, ok := errors.AsType[*client.Problem](last.err)
	switch {
	case !ok: // the network failed
		l.ledger.forget(d.tag, d.kind)
	case last.uncertain():
		l.ledger.refuse(problem.Code)
		l.ledger.forget(d.tag, d.kind)
	case problem.Status == http.StatusServiceUnavailable, d.kind.fails(problem.Code):
		l.ledger.refuse(problem.Code)
	default:
		l.ledger.violatef(undocumented, "submission of %s: %v", d.kind.name, problem)
		l.ledger.forget(d.tag, d.kind)
	}
}

// probe submits a quick document until it is accepted, and waits until its job has succeeded.
func (l *load) probe(ctx context.Context) error {
	const pause = 200 * time.Millisecond
	var accepted *submission
	for {
		var err error
		if accepted == nil {
			accepted, err = l.submit(ctx, quick())
		} else if accepted.ended() {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if accepted == nil {
				return fmt.Errorf("no submission was accepted; the last one failed: %w", err)
			}
			return fmt.Errorf("job %s has not ended", accepted.id)
		}
	}
}
