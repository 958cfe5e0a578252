package rabbitmq

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/docmill/docmill/platform/metrics"
)

const subsystem = "broker"

// labeled returns a factory whose metrics have the connection's role as a label, so that several connections of a
// service can be registered together. A nil registry registers nothing.
func labeled(registry prometheus.Registerer, role string) promauto.Factory {
	if registry == nil {
		return promauto.With(nil)
	}
	return promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"connection": role}, registry))
}

type connectionMetrics struct {
	connected, blocked prometheus.Gauge
	losses             prometheus.Counter
}

func newConnectionMetrics(factory promauto.Factory) connectionMetrics {
	return connectionMetrics{
		connected: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "connected",
			Help: "1 while the connection is up and ready for use.",
		}),
		blocked: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "blocked",
			Help: "1 while the broker accepts no messages from the connection because of a memory or disk alarm.",
		}),
		losses: factory.NewCounter(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "connection_losses_total",
			Help: "Connections that were up and ended, including those that were closed on purpose.",
		}),
	}
}

type publisherMetrics struct {
	inFlight prometheus.Gauge
	duration *prometheus.HistogramVec
}

func newPublisherMetrics(factory promauto.Factory) publisherMetrics {
	return publisherMetrics{
		inFlight: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "publishes_in_flight",
			Help: "Messages that wait for a connection or for the broker's confirm.",
		}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "publish_duration_seconds",
			Help:    "Time from the call of Publish to its return.",
			Buckets: metrics.DurationBuckets(),
		}, []string{"outcome"}),
	}
}

type consumerMetrics struct {
	deliveries *prometheus.CounterVec
	inHand     prometheus.Gauge
	duration   prometheus.Histogram
	batch      prometheus.Histogram
}

func newConsumerMetrics(factory promauto.Factory) consumerMetrics {
	return consumerMetrics{
		deliveries: factory.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "deliveries_total",
			Help: "Handled deliveries, by outcome.",
		}, []string{"outcome"}),
		inHand: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "deliveries_in_hand",
			Help: "Deliveries that are being handled.",
		}),
		duration: factory.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "handling_duration_seconds",
			Help:    "Time to handle one delivery, or one batch.",
			Buckets: metrics.DurationBuckets(),
		}),
		batch: factory.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "batch_deliveries",
			Help:    "Deliveries in one batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
	}
}

func gauge(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
