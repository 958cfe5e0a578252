package simulation

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Load is the documents that arrive.
type Load interface {
	// documents returns a function that returns one document after another, in the order of arrival, until a time in
	// seconds.
	documents(random *rand.Rand, until float64) func() (document, bool)
}

// document is a document to convert. Times are in seconds.
type document struct{ arrival, conversion float64 }

// Random is documents that arrive independently of each other: a Poisson process with a rate that changes over time.
type Random struct {
	// Pattern is how the rate changes.
	Pattern Pattern
	// Rate is the average number of documents per second. Of the pattern Burst, it is the rate outside the burst.
	Rate float64
	// Conversions are the times that a conversion takes, in seconds.
	Conversions Sample
}

// Pattern is how the rate of arrivals changes.
type Pattern string

// The patterns.
const (
	// Steady is a constant rate.
	Steady Pattern = "steady"
	// Diurnal is a day that is compressed into the duration of the simulation: the rate follows a sine between 20% and 180%
	// of the average, beginning at its minimum.
	Diurnal Pattern = "diurnal"
	// Burst is a constant rate, with five times that rate during the third sixth of the simulation.
	Burst Pattern = "burst"
)

// Patterns returns all patterns.
func Patterns() []Pattern { return []Pattern{Steady, Diurnal, Burst} }

const (
	swing      = 0.8 // of a diurnal pattern, as a share of the average
	burstRatio = 5
)

// UnmarshalText accepts the name of a pattern.
func (p *Pattern) UnmarshalText(text []byte) error {
	switch pattern := Pattern(text); pattern {
	case Steady, Diurnal, Burst:
		*p = pattern
		return nil
	default:
		return fmt.Errorf("%q is not one of the patterns %v", text, Patterns())
	}
}

// At returns the rate at a time as a multiple of the average rate, from the share of the simulation that has passed.
func (p Pattern) At(share float64) float64 {
	switch p {
	case Diurnal:
		return 1 - swing*math.Cos(2*math.Pi*share)
	case Burst:
		if share >= 1./3 && share < 1./2 {
			return burstRatio
		}
	case Steady:
	}
	return 1
}

// Peak returns the highest rate as a multiple of the average rate.
func (p Pattern) Peak() float64 {
	switch p {
	case Diurnal:
		return 1 + swing
	case Burst:
		return burstRatio
	case Steady:
	}
	return 1
}

func (r Random) documents(random *rand.Rand, until float64) func() (document, bool) {
	// Thinning (Lewis and Shedler, 1979): arrivals at the peak rate, of which some are left out.
	peak := r.Pattern.Peak()
	gap := distuv.Exponential{Rate: r.Rate * peak, Src: random}
	now := 0.0
	return func() (document, bool) {
		for {
			now += gap.Rand()
			if now >= until {
				return document{}, false
			}
			if random.Float64()*peak < r.Pattern.At(now/until) {
				return document{now, r.Conversions.draw(random)}, true
			}
		}
	}
}

// Recorded is documents that were measured, in the order of their arrival.
type Recorded []Measurement

// Measurement is one document that was converted by a real system.
type Measurement struct {
	// Arrival is when the document was submitted, in seconds since the first one.
	Arrival float64 `json:"arrival"`
	// Wait is how long its command was in the queue, and Conversion how long the attempt took, in seconds.
	Wait       float64 `json:"wait"`
	Conversion float64 `json:"conversion"`
	// Overhead is how much longer than both the client waited for the result, in seconds.
	Overhead float64 `json:"overhead"`
}

// Check returns an error if the documents are not in the order of their arrival, or if there are none.
func (r Recorded) Check() error {
	if len(r) == 0 {
		return errors.New("no documents were recorded")
	}
	for i := range r[1:] {
		if r[i+1].Arrival < r[i].Arrival {
			return fmt.Errorf("document %d of the recording arrived before document %d", i+2, i+1)
		}
	}
	return nil
}

// Turnaround returns the average time from the end of a conversion until a slot begins the next one, of documents that had to
// wait for it: longer than half a second, because a command that does not wait takes time as well.
func (r Recorded) Turnaround() time.Duration {
	var ends, gaps []float64
	for _, one := range r {
		ends = append(ends, one.Arrival+one.Wait+one.Conversion)
	}
	slices.Sort(ends)
	for _, one := range r {
		begin := one.Arrival + one.Wait
		if i := sort.Search(len(ends), func(i int) bool { return ends[i] > begin }); i > 0 && one.Wait > 0.5 {
			gaps = append(gaps, begin-ends[i-1])
		}
	}
	if len(gaps) == 0 {
		return 0
	}
	return seconds(stat.Mean(gaps, nil))
}

// Duration returns the time from the first arrival to the last.
func (r Recorded) Duration() time.Duration { return seconds(r[len(r)-1].Arrival - r[0].Arrival) }

func (r Recorded) documents(*rand.Rand, float64) func() (document, bool) {
	next := 0
	return func() (document, bool) {
		if next == len(r) {
			return document{}, false
		}
		one := r[next]
		next++
		return document{one.Arrival, one.Conversion}, true
	}
}
