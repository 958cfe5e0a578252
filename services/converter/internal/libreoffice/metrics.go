package libreoffice

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	platform "github.com/docmill/docmill/platform/metrics"
)

// metrics count the ends of processes. Package conversion counts the outcomes of documents.
type metrics struct {
	children *prometheus.CounterVec
	replaced *prometheus.CounterVec
	cpu      prometheus.Counter
	resident prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		children: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: platform.Namespace, Subsystem: "engine", Name: "children_total",
			Help: "Children (processes that convert one document) that have ended. end is \"outcome N\" with the code that the child returned, signal if it was killed, limit if it reached a limit, or lost if how it ended is not known.",
		}, []string{"end"}),
		replaced: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: platform.Namespace, Subsystem: "engine", Name: "parents_ended_total",
			Help: "Zygotes (processes with LibreOffice loaded) that ended, by reason: died, age, conversions or growth.",
		}, []string{"reason"}),
		cpu: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: platform.Namespace, Subsystem: "engine", Name: "cpu_seconds_total",
			Help: "Processor time of all children that have ended.",
		}),
		resident: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: platform.Namespace, Subsystem: "engine", Name: "parent_resident_bytes",
			Help: "Memory of the loaded LibreOffice when it was new.",
		}),
	}
	registry.MustRegister(m.children, m.replaced, m.cpu, m.resident)
	for _, reason := range []string{"died", "age", "conversions", "growth"} { // an alert needs the series before its first value
		m.replaced.WithLabelValues(reason)
	}
	return m
}

func (m *metrics) attempt(finished ending, err error) {
	m.children.WithLabelValues(endOf(finished, err)).Inc()
	m.cpu.Add(finished.CPU.Seconds())
}

// endOf returns the label of how a child ended.
func endOf(finished ending, err error) string {
	switch {
	case err != nil:
		return "lost"
	case finished.limit != nil:
		return "limit"
	case finished.Signal != 0:
		return "signal"
	default:
		return "outcome " + strconv.Itoa(int(finished.Outcome))
	}
}

func (m *metrics) ended(reason string) { m.replaced.WithLabelValues(reason).Inc() }
func (m *metrics) opened(i *instance)  { m.resident.Set(float64(i.resident)) }
