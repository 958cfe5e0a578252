// Package simulation simulates converters that take documents from a queue while an autoscaler adds and removes converters.
// It is a discrete-event simulation: time jumps from one event to the next. Conversion and start times are drawn from
// measured samples.
//
// Only the queue of the commands and the converters are simulated. Package sizing computes what the gateways, the broker, the
// database and the object store need.
package simulation

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/docmill/docmill/devstack/autoscaler"
)

// Config describes a simulation.
type Config struct {
	// Load is the documents that arrive.
	Load Load
	// Duration is the simulated time. Documents that arrive later are not simulated; those that have arrived are converted to
	// the end.
	Duration time.Duration
	// Starts are the times from the decision to add a converter until it takes commands, in seconds.
	Starts Sample
	// Overheads are the times that a client waits in addition to the queue and the conversion, in seconds: for its upload
	// and for the notification.
	Overheads Sample
	// Slots is the number of concurrent conversions of one converter.
	Slots int
	// Turnaround is how long a slot is occupied after a conversion, while the converter reports its end and takes the next command.
	Turnaround time.Duration
	// DrainTimeout is how long a removed converter finishes its conversions. Those that have not ended by then are repeated.
	DrainTimeout time.Duration
	// Replicas is the number of converters at the start. Without an autoscaler, it does not change.
	Replicas int
	// Autoscaler changes the number of converters; nil for a fixed number.
	Autoscaler *autoscaler.Settings
	// StatisticsInterval is the time between two updates of the broker's statistics, which are the only source of the number of
	// unacknowledged commands. The number of waiting commands is always current.
	StatisticsInterval time.Duration
	// Seed selects the random numbers: a simulation with the same seed has the same result.
	Seed uint64
}

// Validate rejects what has no result.
func (c Config) Validate() error {
	switch {
	case c.Slots <= 0:
		return errors.New("a converter needs at least one slot")
	case c.Replicas <= 0 && c.Autoscaler == nil:
		return errors.New("without converters and without an autoscaler, nothing is ever converted")
	case c.Autoscaler != nil && (c.Autoscaler.MaxReplicas <= 0 || c.Autoscaler.Target <= 0 || c.Autoscaler.PollingInterval <= 0):
		return errors.New("the autoscaler needs a maximum, a target and an interval")
	default:
		return nil
	}
}

// Run simulates. The configuration must be valid.
func Run(config Config) *Result {
	s := &simulation{
		Config: config, random: newRandom(config.Seed, 0), result: newResult(), pool: newPool(config.Slots, config.Turnaround.Seconds()),
		documents: config.Load.documents(newRandom(config.Seed, 1), config.Duration.Seconds()),
	}
	for range config.Replicas {
		s.pool.add(0, 0)
	}
	if config.Autoscaler != nil {
		s.clock = newClock(*config.Autoscaler, config.StatisticsInterval, config.Replicas)
	}
	s.run()
	s.result.finish(s.now)
	return s.result
}

func newRandom(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // not for secrets
}

// simulation is the state of a run. Times are in seconds since its start.
type simulation struct {
	Config

	// documents returns the next document. It has random numbers of its own, so that the load does not depend on the rest.
	documents func() (document, bool)
	random    *rand.Rand
	result    *Result
	now       float64
	queue     queue
	pool      *pool
	clock     *clock // nil without an autoscaler
}

// run processes one event after another until all documents are converted.
func (s *simulation) run() {
	document, more := s.documents()
	for more || s.queue.len() > 0 || s.pool.busy > 0 {
		slot, change := s.pool.next(), s.clock.next()
		switch at := min(slot, change); {
		case more && document.arrival <= at:
			s.advance(document.arrival)
			s.queue.push(document)
			document, more = s.documents()
		case slot <= change:
			s.advance(slot)
			s.complete()
		default:
			s.advance(change)
			s.scale()
		}
		s.dispatch()
	}
}

// advance moves the time forward.
func (s *simulation) advance(to float64) {
	s.result.elapse(to-s.now, s.pool, s.queue.len())
	s.now = to
}

// complete ends what the next slot was doing: its start, or a conversion.
func (s *simulation) complete() {
	document, finished, worked := s.pool.end()
	switch {
	case !worked:
	case finished:
		s.result.converted(document, s.now-s.pool.turnaround, s.Overheads.draw(s.random))
	default:
		s.result.Repeated++
		s.queue.push(document)
	}
}

// dispatch gives waiting documents to idle slots.
func (s *simulation) dispatch() {
	for s.queue.len() > 0 && s.pool.idle() {
		document := s.queue.pop()
		s.result.started(document, s.now)
		s.pool.begin(document, s.now)
	}
}

// scale lets the autoscaler decide.
func (s *simulation) scale() {
	now, replicas := seconds(s.now), s.pool.replicas
	wanted := s.clock.tick(now, s.queue.len(), s.pool.busy, replicas)
	for range wanted - replicas {
		s.pool.add(s.now, s.now+s.Starts.draw(s.random))
	}
	for range replicas - wanted {
		s.result.Removed++
		s.pool.remove(s.now, s.now+s.DrainTimeout.Seconds())
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
