// Package ending measures how jobs end: how many, why, and how long after their submission.
package ending

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/status/job"
)

// Metrics are the metrics of ended jobs. They are safe for concurrent use. A nil *Metrics counts nothing.
type Metrics struct {
	ended    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// Outcomes of jobs.
const (
	succeeded = "succeeded"
	// rejected means that the document or its owner is the cause: another installation would have failed as well.
	rejected = "rejected"
	// failed means that this installation is the cause.
	failed = "failed"
)

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: "status", Name: "jobs_ended_total",
			Help: "Jobs that have ended, by outcome (succeeded; rejected: the document or its owner is the cause; failed: this " +
				"installation is the cause) and code (ok, or that of the problem).",
		}, []string{"outcome", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: "status", Name: "time_to_result_seconds",
			Help:    "Time from the submission of a job until clients can see that it has ended, by outcome.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400},
		}, []string{"outcome"}),
	}
	registry.MustRegister(m.ended, m.duration)
	m.ended.WithLabelValues(succeeded, ok)
	m.duration.WithLabelValues(succeeded)
	for _, code := range slices.Concat(ofDocument, ofInstallation) { // an alert needs the series before its first value
		m.ended.WithLabelValues(outcomeOf(code), string(code))
		m.duration.WithLabelValues(outcomeOf(code))
	}
	return m
}

// ok is the code of a success.
const ok = "ok"

// Count counts a job that ended with this code, or with a success if the code is empty. submitted is when the job was
// submitted; zero if that is not known.
func (m *Metrics) Count(code problem.Code, submitted time.Time) {
	if m == nil {
		return
	}
	outcome, label := succeeded, ok
	if code != "" {
		outcome, label = outcomeOf(code), labelOf(code)
	}
	m.ended.WithLabelValues(outcome, label).Inc()
	if !submitted.IsZero() {
		m.duration.WithLabelValues(outcome).Observe(max(time.Since(submitted).Seconds(), 0))
	}
}

// CountEvent counts the job that the event has ended.
func (m *Metrics) CountEvent(e job.Ended) {
	var code problem.Code
	switch {
	case e.Failure != nil:
		code = problem.Code(e.Failure.Code)
	case e.Status == job.Canceled:
		code = problem.Canceled
	}
	m.Count(code, submittedAt(e))
}

// submittedAt returns when the job was submitted, according to the report of the attempt that ended it.
func submittedAt(e job.Ended) time.Time {
	if e.StartedAt.IsZero() || e.Report == nil || e.Report.Seconds.Queued == nil {
		return time.Time{}
	}
	return e.StartedAt.Add(-time.Duration(*e.Report.Seconds.Queued * float64(time.Second)))
}

// The codes that end jobs, by cause. A time limit and a crash are attributed to the document, because a job is retried after
// those that the machine may have caused. FormatUnsupported is not: a gateway accepts only what a converter has announced.
var (
	ofDocument = []problem.Code{
		problem.PasswordRequired, problem.PasswordWrong, problem.DocumentMalformed, problem.DocumentEmpty, problem.PagesNotFound,
		problem.DocumentTooComplex, problem.ConversionTimeout, problem.EngineCrashed, problem.Canceled,
	}
	ofInstallation = []problem.Code{
		problem.FormatUnsupported, problem.SourceMissing, problem.AttemptsExhausted, problem.Internal,
	}
)

// outcomeOf returns the outcome of a job that ended with this code. Those that are not listed count as failures.
func outcomeOf(code problem.Code) string {
	if slices.Contains(ofDocument, code) {
		return rejected
	}
	return failed
}

// labelOf returns the code as a label. Codes come from messages, so their number must be limited.
func labelOf(code problem.Code) string {
	if problem.Known(code) {
		return string(code)
	}
	return "unknown"
}
