// Package metrics creates the Prometheus registry of a service. All metrics use base units (seconds, bytes), and their
// names begin with "docmill_".
package metrics

import (
	"cmp"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/docmill/docmill/platform/buildinfo"
)

// Namespace is the prefix of all metric names.
const Namespace = "docmill"

// NewRegistry returns a new registry with the metrics of the Go runtime and the process, and the version of the build.
// It is not the global one, so that several services can run in one process.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newBuildInfo(),
	)
	return registry
}

func newBuildInfo() prometheus.Collector {
	const unknown = "unknown"
	labels := prometheus.Labels{
		"version": cmp.Or(buildinfo.Version(), unknown), "revision": cmp.Or(buildinfo.Revision(), unknown), "goversion": runtime.Version(),
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: Namespace, Name: "build_info", ConstLabels: labels, Help: "1; the labels say what the program was built from.",
	}, func() float64 { return 1 })
}

// DurationBuckets returns buckets, in seconds, for everything from a poll (1 ms) to a conversion at its deadline
// (minutes).
func DurationBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
}
