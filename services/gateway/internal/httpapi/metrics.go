package httpapi

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/gateway/internal/admission"
	"github.com/docmill/docmill/services/gateway/internal/submit"
)

type uploadMetrics struct {
	uploads  *prometheus.CounterVec
	bytes    prometheus.Counter
	duration prometheus.Histogram
	inFlight prometheus.Gauge
}

func newUploadMetrics(registry prometheus.Registerer) uploadMetrics {
	const subsystem = "gateway"
	m := uploadMetrics{
		uploads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "uploads_total",
			Help: "Uploads that have ended, by outcome: accepted, repeated (an earlier submission with the same Idempotency-Key) or the code of the problem.",
		}, []string{"code"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "accepted_bytes_total",
			Help: "Total size of accepted documents.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "upload_duration_seconds",
			Help:    "Time from the headers of an accepted submission to its confirmation by the queue.",
			Buckets: metrics.DurationBuckets(),
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "uploads_in_flight",
			Help: "Open uploads, including those that wait for a slot.",
		}),
	}
	registry.MustRegister(m.uploads, m.bytes, m.duration, m.inFlight)
	for code, entry := range problem.Codes() { // an alert needs the series before its first value
		if entry.Status >= http.StatusInternalServerError {
			m.uploads.WithLabelValues(string(code))
		}
	}
	m.uploads.WithLabelValues(outcomeAccepted)
	m.uploads.WithLabelValues(outcomeRepeated)
	return m
}

// watchSlots registers how many slots for uploads there are, and how many are in use.
func watchSlots(registry prometheus.Registerer, gate *admission.Gate, settings Settings) {
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "gateway", Name: name, Help: help,
		}, value))
	}
	gauge("upload_slots", "Maximum number of uploads that are stored at the same time.", func() float64 { return float64(settings.MaxUploads) })
	gauge("upload_slots_in_use", "Uploads that are being stored.", func() float64 { return float64(gate.SlotsInUse()) })
	gauge("uploads_limit", "Maximum number of open uploads.", func() float64 { return float64(settings.MaxOpenUploads) })
}

// begin counts the start of an upload; the function that it returns counts its end.
func (m uploadMetrics) begin() func(accepted submit.Accepted, err error) {
	began := time.Now()
	m.inFlight.Inc()
	return func(accepted submit.Accepted, err error) {
		m.inFlight.Dec()
		m.uploads.WithLabelValues(outcome(accepted, err)).Inc()
		if err == nil && !accepted.Repeated {
			m.bytes.Add(float64(accepted.Job.Source.Size))
			m.duration.Observe(time.Since(began).Seconds())
		}
	}
}

const (
	outcomeAccepted = "accepted"
	outcomeRepeated = "repeated"
)

// outcome returns how an upload ended: with a job, or with the code of a problem.
func outcome(accepted submit.Accepted, err error) string {
	switch {
	case err == nil && accepted.Repeated:
		return outcomeRepeated
	case err == nil:
		return outcomeAccepted
	default:
		return string(problem.From(err).Code)
	}
}
