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
		if last >= 0 && len(steps[last]) == 1 && !steps[last][0].excludes(of[i]) && random.Float64() < overlap {
			steps[last] = append(steps[last], of[i])
		} else {
			steps = append(steps, step{of[i]})
		}
	}
	return steps
}

// excludes reports whether two faults must not overlap.
func (f fault) excludes(other fault) bool { return f.server != "" && f.server == other.server }

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

// add adds the record of another run.
func (r *record) add(other record) {
	r.times += other.times
	r.inFlight = max(r.inFlight, other.inFlight)
	r.recovery = max(r.recovery, other.recovery)
	r.impossible += other.impossible
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

// run performs a step, and returns when Docmill has recovered. It returns the faults that should be tried again because they
// could not be injected. An error means that the harness failed.
func (r *runner) run(ctx context.Context, s step) (again []fault, err error) {
	if !gentle(s) {
		r.ledger.disturb()
		defer r.ledger.disturb()
	}
	inFlight, retries := r.ledger.unfinished(), r.ledger.retries.Load()
	began := time.Now()
	heals, failures := r.inject(ctx, s)
	var injected step
	for i, one := range s {
		if failures[i] == nil {
			injected = append(injected, one)
		} else if r.impossible(one, failures[i]) {
			again = append(again, one)
		}
	}
	r.hold(ctx, injected)
	held := time.Since(began)
	for _, one := range heals {
		if err := mend(ctx, one); err != nil {
			return nil, fmt.Errorf("end %s: %w", s, err)
		}
	}
	if len(injected) > 0 {
		r.awaitRecovery(ctx, injected, inFlight, held)
		r.count(s, r.ledger.retries.Load()-retries)
	}
	return again, nil
}

// count checks how many attempts have failed because of a fault.
func (r *runner) count(s step, retries int64) {
	if len(s) == 1 && s[0].retries > 0 && retries > int64(s[0].retries) {
		r.ledger.violatef(wasted, "%d during %s", retries, s)
	}
}

// impossible records that a fault could not be injected, because another fault prevented it or because the machine does not
// permit it. It reports whether the fault should be tried again.
func (r *runner) impossible(f fault, reason error) bool {
	const tries = 3
	r.log("%s: not possible: %v", f.name, reason)
	one := r.records[f.name]
	one.impossible++
	return one.times == 0 && one.impossible < tries && !errors.Is(reason, errors.ErrUnsupported)
}

// awaitRecovery waits until Docmill has recovered from faults that are over.
func (r *runner) awaitRecovery(ctx context.Context, s step, inFlight int, held time.Duration) {
	healed := time.Now()
	limited, cancel := context.WithTimeout(ctx, recoveryTimeout)
	defer cancel()
	if err := r.load.probe(limited); err != nil && ctx.Err() == nil {
		r.ledger.violatef(unrecovered, "%s after %s: %v", recoveryTimeout, s, err)
	}
	recovery := time.Since(healed)
	r.log("%-60s held %5.1f s, recovered after %5.1f s, %d jobs in flight", s, held.Seconds(), recovery.Seconds(), inFlight)
	for _, one := range s {
		r.records[one.name].add(record{times: 1, inFlight: inFlight, recovery: recovery})
	}
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

// inject injects the faults at the same time. For each it returns a function that ends it, and whether it failed.
func (r *runner) inject(ctx context.Context, s step) (heals []heal, failures []error) {
	heals, failures = make([]heal, len(s)), make([]error, len(s))
	var injecting sync.WaitGroup
	for i, one := range s {
		random := rand.New(rand.NewPCG(r.random.Uint64(), 0)) //nolint:gosec // not a secret
		injecting.Go(func() { heals[i], failures[i] = one.inject(ctx, r.deployment, random) })
	}
	injecting.Wait()
	return heals, failures
}

// hold waits for as long as the longest fault is to last, or up to 50 % longer.
func (r *runner) hold(ctx context.Context, s step) {
	var longest time.Duration
	for _, one := range s {
		longest = max(longest, one.hold)
	}
	if longest > 0 {
		longest += time.Duration(r.random.Int64N(int64(longest / 2)))
	}
	select {
	case <-time.After(longest):
	case <-ctx.Done():
	}
}
