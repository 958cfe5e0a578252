package chaos

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/docmill/docmill/client"
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
	balancer   *balancer
	ledger     *ledger
	testdata   string
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

// submit submits a document once and records the outcome. It returns an error if the document was not accepted.
func (l *load) submit(ctx context.Context, k kind) (*submission, error) {
	ctx, cancel := context.WithTimeout(ctx, submissionTimeout)
	defer cancel()
	tag := rand.Text()
	content, err := k.content(l.testdata, tag)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	options := map[string]string{"tag": tag}
	maps.Copy(options, k.options)
	epoch := l.ledger.epoch.Load()
	to := client.New(l.balancer.choose().URL, client.WithHTTPClient(l.http), client.WithRetries(client.Retries{Tries: 1}))
	job, err := to.Submit(ctx, filepath.Base(k.file), bytes.NewReader(content), int64(len(content)), client.WithOptions(options))
	if err == nil {
		s := &submission{id: job.ID, tag: tag, kind: k, sum: hex.EncodeToString(sum[:]), at: time.Now(), wish: draw(job.ID)}
		l.ledger.accept(s)
		return s, nil
	}
	l.record(k, tag, err)
	l.ledger.disconnected("submission of "+k.name, epoch, err)
	return nil, err
}

// record records a submission that was not accepted.
func (l *load) record(k kind, tag string, err error) {
	problem, ok := errors.AsType[*client.Problem](err)
	switch {
	case !ok: // the network failed
		l.ledger.forget(tag, k)
	case problem.Code == client.CodeQueueUnconfirmed:
		l.ledger.refuse(problem.Code)
		l.ledger.forget(tag, k)
	case problem.Status == http.StatusServiceUnavailable, k.fails(problem.Code):
		l.ledger.refuse(problem.Code)
	default:
		l.ledger.violatef(undocumented, "submission of %s: %v", k.name, problem)
		l.ledger.forget(tag, k)
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
