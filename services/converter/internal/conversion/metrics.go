package conversion

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/metrics"
)

// Metrics are the converter's metrics.
type Metrics struct {
	registry   prometheus.Registerer
	attempts   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	inProgress prometheus.Gauge
	bytes      *prometheus.CounterVec
}

// NewMetrics registers the converter's metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		registry: registry,
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: "converter", Name: "attempts_total",
			Help: "Attempts that ended, by the source's format and the code of their outcome: ok, abandoned, or an error code.",
		}, []string{"format", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: "converter", Name: "attempt_duration_seconds",
			Help:    "How long an attempt took, from its start to its stored result or its failure.",
			Buckets: metrics.DurationBuckets(),
		}, []string{"format"}),
		inProgress: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "converter", Name: "attempts_in_progress",
			Help: "Attempts in progress.",
		}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: "converter", Name: "bytes_total",
			Help: "Bytes of the sources and results of successful attempts.",
		}, []string{"of"}),
	}
	registry.MustRegister(m.attempts, m.durations, m.inProgress, m.bytes)
	return m
}

// watch registers how many slots there are, and how many are in use. It does nothing if m is nil.
func (m *Metrics) watch(s *slots) {
	if m == nil {
		return
	}
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "converter", Name: name, Help: help,
		}, value))
	}
	gauge("slots", "Number of conversions that can run at the same time.", func() float64 { return float64(s.all) })
	gauge("slots_in_use", "Slots that are in use. A conversion in isolation uses all of them.", func() float64 { return float64(s.used.Load()) })
}

func (m *Metrics) begun() { m.inProgress.Inc() }

func (m *Metrics) ended(format, code string, took time.Duration) {
	m.inProgress.Dec()
	m.attempts.WithLabelValues(format, code).Inc()
	m.durations.WithLabelValues(format).Observe(took.Seconds())
}

func (m *Metrics) moved(source, result int64) {
	m.bytes.WithLabelValues("source").Add(float64(source))
	m.bytes.WithLabelValues("result").Add(float64(result))
}

// label returns the code of an attempt's outcome.
func label(err error, abandoned bool) string {
	switch {
	case abandoned:
		return "abandoned"
	case err == nil:
		return "ok"
	default:
		return string(problem.From(err).Code)
	}
}
