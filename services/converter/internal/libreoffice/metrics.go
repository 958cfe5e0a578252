package libreoffice

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	platform "github.com/docmill/docmill/platform/metrics"
)

// metrics counts what happens to processes. What happens to documents is counted by those who send them here.
type metrics struct {
	children *prometheus.CounterVec
	parents  *prometheus.CounterVec
	cpu      prometheus.Counter
	resident prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		children: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: platform.Namespace, Subsystem: "engine", Name: "children_total",
			Help: "Children that have ended, by their end: their outcome's number, signal, limit or lost.",
		}, []string{"end"}),
		parents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: platform.Namespace, Subsystem: "engine", Name: "parents_ended_total",
			Help: "Loaded LibreOffices that were replaced, by the reason: died, age, conversions or growth.",
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
	registry.MustRegister(m.children, m.parents, m.cpu, m.resident)
	return m
}

func (m *metrics) attempt(finished end, err error) {
	end := "outcome " + strconv.Itoa(int(finished.Outcome))
	switch {
	case err != nil:
		end = "lost"
	case finished.limit != nil:
		end = "limit"
	case finished.Signal != 0:
		end = "signal"
	}
	m.children.WithLabelValues(end).Inc()
	m.cpu.Add(finished.CPU.Seconds())
}

func (m *metrics) ended(reason string) { m.parents.WithLabelValues(reason).Inc() }
func (m *metrics) opened(o *office)    { m.resident.Set(float64(o.resident)) }
