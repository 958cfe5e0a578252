package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/platform/metrics"
)

// Collector returns the metrics of the pool of connections.
func (s *Store) Collector() prometheus.Collector { return collector{s.pool} }

type collector struct{ pool *pgxpool.Pool }

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(metrics.Namespace, "database", name), help, nil, nil)
}

// The metrics of a pool. They are immutable.
var (
	connectionsLimit = describe("connections_limit", "Maximum number of connections to the database.")
	connectionsOpen  = describe("connections_open", "Open connections to the database.")
	connectionsInUse = describe("connections_in_use", "Connections to the database that run a query or a transaction.")
	waits            = describe("connection_waits_total", "Uses of a connection that had to wait because none was free.")
	waitSeconds      = describe("connection_wait_seconds_total", "Total time of the waits for a free connection.")
	canceledWaits    = describe("connection_waits_canceled_total", "Waits for a free connection that were given up.")
)

// Describe implements prometheus.Collector.
func (collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connectionsLimit, connectionsOpen, connectionsInUse, waits, waitSeconds, canceledWaits} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(values chan<- prometheus.Metric) {
	stat := c.pool.Stat()
	gauge := func(d *prometheus.Desc, value float64) {
		values <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	counter := func(d *prometheus.Desc, value float64) {
		values <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value)
	}
	gauge(connectionsLimit, float64(stat.MaxConns()))
	gauge(connectionsOpen, float64(stat.TotalConns()))
	gauge(connectionsInUse, float64(stat.AcquiredConns()))
	counter(waits, float64(stat.EmptyAcquireCount()))
	counter(waitSeconds, stat.EmptyAcquireWaitTime().Seconds())
	counter(canceledWaits, float64(stat.CanceledAcquireCount()))
}
