// Package chaos injects faults into a Docmill of several replicas while clients use it, and checks that each accepted job
// ends exactly once and correctly, and that rejected submissions leave nothing behind.
//
// The faults and their order depend only on a seed. The exact timing depends on the machine.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/system"
)

// Options are the parameters of [Run]. Faults, Single, Earlier and Log may be zero.
type Options struct {
	// Seed selects the order of the faults.
	Seed uint64
	// Duration is how long faults are injected. The last one may take longer. Each fault is injected once before any is
	// repeated. 0 means that each is injected once.
	Duration time.Duration
	// Settle is how long accepted jobs may take to end when all faults are over. The longest delay between two attempts is
	// 5 min.
	Settle time.Duration
	// Faults selects the faults whose name it matches; nil selects all.
	Faults *regexp.Regexp
	// Sought is a verdict that ends the run early; empty for none.
	Sought string
	// Single runs the single-process edition instead of the three services, with the faults that apply to it.
	Single bool
	// Project is the directory of the project, and Binaries that of its programs.
	Project, Binaries string
	// Earlier holds the programs of an earlier release. The fault with an old converter requires them.
	Earlier system.Release
	// Dir receives the logs of the services. It must exist.
	Dir string
	// Output receives the progress.
	Output io.Writer
	// Log receives what is installed and started.
	Log *zap.Logger
}

// ErrViolated means that Docmill did something wrong.
var ErrViolated = errors.New("docmill did not keep its promises")

// Run starts Docmill and injects faults. It returns [ErrViolated] if Docmill did something wrong, and another error if the
// harness failed; then the report may be nil.
func Run(ctx context.Context, options Options) (_ *Report, err error) {
	d, err := deploy(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("start Docmill: %w", err)
	}
	defer func() { err = errors.Join(err, d.stop(context.WithoutCancel(ctx))) }()
	l := newLedger()
	hooks, err := newReceiver(ctx, l)
	if err != nil {
		return nil, err
	}
	defer hooks.close()
	began := time.Now()
	records, err := disturb(ctx, d, l, hooks, options)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	var a audit
	if !l.found(options.Sought) {
		hooks.audit()
		if a, err = inspect(ctx, d, l, hooks); err != nil {
			return nil, fmt.Errorf("audit what is left: %w", err)
		}
	}
	for _, end := range d.ends() {
		l.violatef(crashed, "%s", end)
	}
	r := newReport(options.Seed, took, l, a, records)
	r.webhooks, r.webhookAttempts, r.webhooksAgain = hooks.counts()
	return r, r.Err()
}

// disturb injects faults under load, and returns when everything has settled.
func disturb(ctx context.Context, d *deployment, l *ledger, hooks *receiver, options Options) (map[string]*record, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pollers}}
	defer client.CloseIdleConnections()
	random := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(options.Seed, stream)) } //nolint:gosec // not a secret
	balancer := &balancer{gateways: d.gateways}
	submitter := &load{
		balancer: balancer, ledger: l, testdata: filepath.Join(options.Project, "testdata"), receiver: hooks.url, http: client, random: random(1),
	}
	poller := &poller{balancer: balancer, ledger: l, load: submitter, http: client}
	var running, loading sync.WaitGroup
	polling, stopPolling := context.WithCancel(ctx)
	defer running.Wait()
	defer stopPolling()
	running.Go(func() { balancer.run(polling) })
	running.Go(func() { poller.run(polling) })
	submitting, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	loading.Go(func() { submitter.run(submitting) })

	r := &runner{
		deployment: d, ledger: l, load: submitter, random: random(2), records: make(map[string]*record),
		log: logger(options.Output),
	}
	err := r.rounds(ctx, options)
	stopLoad()
	loading.Wait()
	if err != nil {
		return nil, err
	}
	r.log("waiting until all of %d accepted jobs have ended", len(l.submissions()))
	settling, cancel := context.WithTimeout(ctx, options.Settle)
	defer cancel()
	settle(settling, d, l, hooks, options.Sought)
	return r.records, ctx.Err()
}

// selected returns the faults to inject.
func selected(options Options) []fault {
	all := faults()
	if options.Single {
		all = singleFaults()
	}
	return slices.DeleteFunc(all, func(f fault) bool {
		return options.Faults != nil && !options.Faults.MatchString(f.name)
	})
}

// rounds injects faults until the time is over, or until each was injected once.
func (r *runner) rounds(ctx context.Context, options Options) error {
	all := selected(options)
	for _, one := range all {
		r.records[one.name] = &record{}
	}
	for end := time.Now().Add(options.Duration); ; {
		for steps := round(r.random, all); len(steps) > 0; steps = steps[1:] {
			again, err := r.run(ctx, steps[0])
			if err != nil {
				return err
			}
			for _, one := range again {
				steps = append(steps, step{one})
			}
			if ctx.Err() != nil || r.ledger.found(options.Sought) || options.Duration > 0 && time.Now().After(end) {
				return ctx.Err()
			}
		}
		if options.Duration == 0 {
			return ctx.Err()
		}
	}
}

// logger returns a function that prints lines with the time since now.
func logger(to io.Writer) func(format string, arguments ...any) {
	began := time.Now()
	return func(format string, arguments ...any) {
		fmt.Fprintf(to, "%6.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, arguments...))
	}
}

// MakeDir creates a directory for the logs of a run.
func MakeDir() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "docmill-chaos-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // the user postgres reaches its table in it
}
