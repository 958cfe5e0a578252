package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/docmill/docmill/devstack/link"
)

// networkFaults are the faults of the connections of some replicas to what they depend on.
func networkFaults() []fault {
	broker := func(r *replica) *link.Link { return r.broker }
	store := func(r *replica) *link.Link { return r.store }
	// The database of the status service and, for gateways, the status service.
	states := func(r *replica) *link.Link {
		if r.database != nil {
			return r.database
		}
		return r.status
	}
	return slices.Concat(linkFaults("to the broker", broker), linkFaults("to the store", store), linkFaults("to the job states", states))
}

// linkFaults are the faults of the links that of selects.
func linkFaults(where string, of func(*replica) *link.Link) []fault {
	on := func(begin func(*link.Link, *rand.Rand) error, end func(context.Context, *link.Link) error) func(
		context.Context, *deployment, *rand.Rand) (heal, error) {
		return func(_ context.Context, d *deployment, random *rand.Rand) (heal, error) {
			chosen := some(random, d, of)
			var failures []error
			for _, l := range chosen {
				failures = append(failures, begin(l, random))
			}
			return func(ctx context.Context) error {
				var failures []error
				for _, l := range chosen {
					failures = append(failures, end(ctx, l))
				}
				return errors.Join(failures...)
			}, errors.Join(failures...)
		}
	}
	calm := func(ctx context.Context, l *link.Link) error {
		l.Heal(ctx)
		return nil
	}
	cut := func(l *link.Link, _ *rand.Rand) error {
		l.Cut()
		return nil
	}
	restore := func(_ context.Context, l *link.Link) error { return l.Restore() }
	return []fault{
		{name: "cut " + where, hold: 2 * time.Second, inject: on(cut, restore)},
		{name: "latency " + where, hold: 4 * time.Second, inject: on(func(l *link.Link, random *rand.Rand) error {
			const least, most = 100 * time.Millisecond, 900 * time.Millisecond
			return l.Delay(least + time.Duration(random.Int64N(int64(most))))
		}, calm)},
		{name: "half-open " + where, hold: 4 * time.Second, inject: on(func(l *link.Link, random *rand.Rand) error {
			if random.IntN(2) == 0 {
				return l.StallAnswers()
			}
			return l.Stall()
		}, calm)},
		{name: "flapping " + where, hold: time.Second, inject: on(flap, restore)},
	}
}

// flap cuts a link several times. It leaves it cut.
func flap(l *link.Link, random *rand.Rand) error {
	const times, longest = 4, 400 * time.Millisecond
	for range times {
		l.Cut()
		time.Sleep(time.Duration(random.Int64N(int64(longest))))
		if err := l.Restore(); err != nil {
			return err
		}
		time.Sleep(time.Duration(random.Int64N(int64(longest))))
	}
	l.Cut()
	return nil
}

// some returns each of the links with a probability of one half, but at least one.
func some(random *rand.Rand, d *deployment, of func(*replica) *link.Link) []*link.Link {
	var all, chosen []*link.Link
	for _, r := range d.replicas() {
		l := of(r)
		if l == nil {
			continue
		}
		all = append(all, l)
		if random.IntN(2) == 0 {
			chosen = append(chosen, l)
		}
	}
	if len(chosen) == 0 {
		return []*link.Link{pick(random, all)}
	}
	return chosen
}
