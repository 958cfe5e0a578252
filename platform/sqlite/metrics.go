package sqlite

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	names "github.com/docmill/docmill/platform/metrics"
)

const subsystem = "sqlite"

type metrics struct {
	commits     *prometheus.CounterVec
	writes      prometheus.Histogram
	duration    *prometheus.HistogramVec
	logFrames   prometheus.Gauge
	checkpoints prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer) metrics {
	factory := promauto.With(registry)
	return metrics{
		commits: factory.NewCounterVec(prometheus.CounterOpts{
			Namespace: names.Namespace, Subsystem: subsystem, Name: "commits_total",
			Help: "Transactions that were committed or failed, by durability and outcome.",
		}, []string{"durability", "outcome"}),
		writes: factory.NewHistogram(prometheus.HistogramOpts{
			Namespace: names.Namespace, Subsystem: subsystem, Name: "commit_writes",
			Help:    "Writes in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: names.Namespace, Subsystem: subsystem, Name: "write_duration_seconds",
			Help:    "Time from the request of a write to the end of its transaction.",
			Buckets: names.DurationBuckets(),
		}, []string{"durability"}),
		logFrames: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: names.Namespace, Subsystem: subsystem, Name: "log_frames",
			Help: "Pages in the write-ahead log at the latest checkpoint.",
		}),
		checkpoints: factory.NewHistogram(prometheus.HistogramOpts{
			Namespace: names.Namespace, Subsystem: subsystem, Name: "checkpoint_duration_seconds",
			Help:    "Time that a checkpoint, which copies the log into the database, took.",
			Buckets: names.DurationBuckets(),
		}),
	}
}
