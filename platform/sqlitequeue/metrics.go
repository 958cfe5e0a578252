package sqlitequeue

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/metrics"
)

// The metrics have the same names as those of package rabbitmq, so that one dashboard shows both editions. The label
// connection is "publisher" or the name of the consumed queue.
const subsystem = "broker"

func labeled(registry prometheus.Registerer, role string) promauto.Factory {
	if registry == nil {
		return promauto.With(nil)
	}
	return promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"connection": role}, registry))
}

func newConnected(factory promauto.Factory) prometheus.Gauge {
	return factory.NewGauge(prometheus.GaugeOpts{
		Namespace: metrics.Namespace, Subsystem: subsystem, Name: "connected",
		Help: "1 while the connection is up and ready for use.",
	})
}

type publisherMetrics struct {
	connected, blocked, inFlight prometheus.Gauge
	duration                     *prometheus.HistogramVec
}

func newPublisherMetrics(registry prometheus.Registerer) publisherMetrics {
	factory := labeled(registry, "publisher")
	return publisherMetrics{
		connected: newConnected(factory),
		blocked: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "blocked",
			Help: "1 while the broker accepts no messages from the connection because of a memory or disk alarm.",
		}),
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

func (m publisherMetrics) setBlocked(blocked bool) { m.blocked.Set(gauge(blocked)) }

type consumerMetrics struct {
	connected  prometheus.Gauge
	deliveries *prometheus.CounterVec
	inHand     prometheus.Gauge
	duration   prometheus.Histogram
	batch      prometheus.Histogram
}

func newConsumerMetrics(registry prometheus.Registerer, queue message.Queue) consumerMetrics {
	factory := labeled(registry, queue.String())
	return consumerMetrics{
		connected: newConnected(factory),
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

// registerDepths registers what RabbitMQ would report about the queues itself.
func (q *Queue) registerDepths(registry prometheus.Registerer) {
	factory := promauto.With(registry)
	for queue, dispatcher := range q.dispatchers {
		factory.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: "queue", Name: "messages_ready",
			Help:        "Messages that wait for a consumer.",
			ConstLabels: prometheus.Labels{"queue": queue.String()},
		}, func() float64 { return float64(dispatcher.waiting()) })
	}
}

func gauge(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
