package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// step is one fault, or two at the same time.
type step []fault

// overlap is the probability that two faults overlap.
const overlap = 0.2

// round returns all faults once, in random order.
func round(random *rand.Rand, of []fault) []step {
	var steps []step
	for _, i := range random.Perm(len(of)) {
		last := len(steps) - 1
		if last >= 0 && len(steps[last]) == 1 && random.Float64() < overlap {
			steps[last] = append(steps[last], of[i])
		} else {
			steps = append(steps, step{of[i]})
		}
	}
	return steps
}

// gentle reports whether no client notices the step. Two restarts at the same time may leave no gateway.
func gentle(s step) bool { return len(s) == 1 && s[0].gentle }

func (s step) String() string {
	names := make([]string, 0, len(s))
	for _, one := range s {
		names = append(names, one.name)
	}
	return strings.Join(names, " + ")
}

// record is what happened when a fault was injected.
type record struct {
	times int
	// inFlight is the largest number of accepted jobs that had not ended.
	inFlight int
	// recovery is the longest time from the end of the fault until a submission was accepted and its job succeeded.
	recovery time.Duration
	// impossible is how often the fault could not be injected.
	impossible int
}

// runner injects faults, one step after another.
type runner struct {
	deployment *deployment
	ledger     *ledger
	load       *load
	random     *rand.Rand
	records    map[string]*record
	log        func(format string, arguments ...any)
}

// recoveryTimeout is how long Docmill may take to recover. The longest delay between two attempts is 5 min, but a new
// submission does not wait for it.
const recoveryTimeout = 3 * time.Minute

// run takes a step, and returns when Docmill has recovered. An error means that the harness failed.
func (r *runner) run(ctx context.Context, s step) error {
	if !gentle(s) {
		r.ledger.disturb()
		defer r.ledger.disturb()
	}
	inFlight := r.ledger.unfinished()
	began := time.Now()
	heals, injected := r.inject(ctx, s)
	if injected == nil {
		r.hold(ctx, s)
	}
	held := time.Since(began)
	for _, one := range heals {
		if err := mend(ctx, one); err != nil {
			return fmt.Errorf("end %s: %w", s, err)
		}
	}
	if injected != nil {
		// Another fault may prevent it, or the machine does not permit it.
		r.log("%s: not possible: %v", s, injected)
		r.count(s, func(one *record) { one.impossible++ })
		return nil
	}
	healed := time.Now()
	limited, cancel := context.WithTimeout(ctx, recoveryTimeout)
	defer cancel()
	if err := r.load.probe(limited); err != nil && ctx.Err() == nil {
		r.ledger.violatef(unrecovered, "%s after %s: %v", recoveryTimeout, s, err)
	}
	recovery := time.Since(healed)
	r.log("%-60s held %5.1f s, recovered after %5.1f s, %d jobs in flight", s, held.Seconds(), recovery.Seconds(), inFlight)
	r.count(s, func(one *record) {
		one.times++
		one.inFlight, one.recovery = max(one.inFlight, inFlight), max(one.recovery, recovery)
	})
	return nil
}

// mend ends a fault. It tries several times: the fault itself may prevent that at first.
func mend(ctx context.Context, end heal) (err error) {
	const tries, pause = 5, 2 * time.Second
	for range tries {
		if err = end(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(pause)
	}
	return err
}

// inject injects the faults at the same time.
func (r *runner) inject(ctx context.Context, s step) ([]heal, error) {
	heals, failures := make([]heal, len(s)), make([]error, len(s))
	var injecting sync.WaitGroup
	for i, one := range s {
		random := rand.New(rand.NewPCG(r.random.Uint64(), 0)) //nolint:gosec // not a secret
		injecting.Go(func() { heals[i], failures[i] = one.inject(ctx, r.deployment, random) })
	}
	injecting.Wait()
	return heals, errors.Join(failures...)
}

// hold waits for as long as the longest fault is to last.
func (r *runner) hold(ctx context.Context, s step) {
	var longest time.Duration
	for _, one := range s {
		longest = max(longest, one.hold)
	}
	if longest > 0 {
		longest += time.Duration(r.random.Int64N(int64(longest)))
	}
	select {
	case <-time.After(longest):
	case <-ctx.Done():
	}
}

func (r *runner) count(s step, change func(*record)) {
	for _, one := range s {
		if r.records[one.name] == nil {
			r.records[one.name] = &record{}
		}
		change(r.records[one.name])
	}
}
