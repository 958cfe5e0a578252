package simulation

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a simulation has measured.
type Result struct {
	// Converted is the number of documents, Repeated that of conversions that were abandoned and repeated because their
	// converter was removed, and Removed that of removed converters.
	Converted, Repeated, Removed int
	// Replicas is the average number of converters, including those that start or finish, and MostReplicas the greatest.
	Replicas     float64
	MostReplicas int
	// Busy is the average number of running conversions, and Utilization the share of all slots that they are.
	Busy, Utilization float64
	// LongestQueue is the greatest number of waiting documents.
	LongestQueue int
	// Elapsed is the time until the last conversion ended.
	Elapsed time.Duration

	waits, times                           *hdrhistogram.Histogram
	busySeconds, slotSeconds, replicaCount float64
}

// The histograms have milliseconds, between 1 ms and a day, with three significant digits.
func newResult() *Result {
	const highest, digits = 24 * 60 * 60 * 1000, 3
	return &Result{waits: hdrhistogram.New(1, highest, digits), times: hdrhistogram.New(1, highest, digits)}
}

// elapse records that the state has lasted for a number of seconds.
func (r *Result) elapse(lasted float64, p *pool, waiting int) {
	r.busySeconds += lasted * float64(p.busy)
	r.slotSeconds += lasted * float64(p.running)
	r.replicaCount += lasted * float64(p.running) / float64(p.perConverter)
	r.MostReplicas = max(r.MostReplicas, p.replicas)
	r.LongestQueue = max(r.LongestQueue, waiting)
}

// started records that a conversion has begun.
func (r *Result) started(of document, now float64) { record(r.waits, now-of.arrival) }

// converted records that a conversion has ended, and how much longer its client waits, in seconds.
func (r *Result) converted(of document, now, overhead float64) {
	r.Converted++
	record(r.times, now-of.arrival+overhead)
}

func record(in *hdrhistogram.Histogram, seconds float64) {
	const milliseconds = 1000
	_ = in.RecordValue(min(max(int64(seconds*milliseconds+0.5), 0), in.HighestTrackableValue()))
}

func (r *Result) finish(now float64) {
	r.Elapsed = seconds(now)
	if now > 0 {
		r.Busy, r.Replicas = r.busySeconds/now, r.replicaCount/now
	}
	if r.slotSeconds > 0 {
		r.Utilization = r.busySeconds / r.slotSeconds
	}
}

// Wait returns a percentile of the times that documents waited in the queue.
func (r *Result) Wait(percentile float64) time.Duration { return at(r.waits, percentile) }

// MeanWait returns the average of these times.
func (r *Result) MeanWait() time.Duration { return seconds(r.waits.Mean() / 1000) }

// TimeToResult returns a percentile of the times from the submission until the client had its result.
func (r *Result) TimeToResult(percentile float64) time.Duration { return at(r.times, percentile) }

func at(in *hdrhistogram.Histogram, percentile float64) time.Duration {
	return time.Duration(in.ValueAtPercentile(percentile)) * time.Millisecond
}
