// Package metrics makes a service's Prometheus registry. All metrics are in base units (seconds, bytes) and begin with
// "docmill_".
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Namespace begins the name of every metric.
const Namespace = "docmill"

// NewRegistry makes a registry of its own, so that two services can live in one test process, with the Go runtime's
// and the process's metrics and the build's version in it.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	return registry
}

// DurationBuckets suit everything from a poll (1 ms) to a conversion at its deadline (minutes), in seconds.
func DurationBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
}
