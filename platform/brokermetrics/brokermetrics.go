// Package brokermetrics defines the metrics of publishers and consumers. They are the same for every broker, so that
// one dashboard shows both editions. Each metric has the label connection: "publisher", or the name of the consumed
// queue.
package brokermetrics

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/metrics"
)

const subsystem = "broker"

// Connection has the metrics of every connection.
type Connection struct {
	Connected, Blocked prometheus.Gauge
	Losses             prometheus.Counter
}

// Publisher has the metrics of a publisher.
type Publisher struct {
	Connection

	InFlight prometheus.Gauge
	// Duration has the label outcome.
	Duration *prometheus.HistogramVec
}

// Consumer has the metrics of a consumer.
type Consumer struct {
	Connection

	// Deliveries has the label outcome: that of message.Outcome, or Lost.
	Deliveries *prometheus.CounterVec
	InHand     prometheus.Gauge
	Duration   prometheus.Histogram
	Batch      prometheus.Histogram
}

// labeled returns a factory of metrics with the label connection. A nil registry registers nothing.
func labeled(registry prometheus.Registerer, connection string) promauto.Factory {
	if registry == nil {
		return promauto.With(nil)
	}
	return promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"connection": connection}, registry))
}

func newConnection(factory promauto.Factory) Connection {
	return Connection{
		Connected: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "connected",
			Help: "1 while the connection is up and ready for use.",
		}),
		Blocked: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "blocked",
			Help: "1 while the broker accepts no messages from the connection, for lack of memory or disk space.",
		}),
		Losses: factory.NewCounter(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "connection_losses_total",
			Help: "Connections that were up and ended, including those that were closed on purpose.",
		}),
	}
}

// NewPublisher registers the metrics of a publisher. A nil registry registers nothing.
func NewPublisher(registry prometheus.Registerer) Publisher {
	factory := labeled(registry, "publisher")
	p := Publisher{
		Connection: newConnection(factory),
		InFlight: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "publishes_in_flight",
			Help: "Messages that wait for a connection or for the broker's confirm.",
		}),
		Duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "publish_duration_seconds",
			Help:    "Time from the call of Publish to its return.",
			Buckets: metrics.DurationBuckets(),
		}, []string{"outcome"}),
	}
	p.Duration.WithLabelValues(confirmed)
	for _, known := range outcomes { // an alert needs the series before its first value
		p.Duration.WithLabelValues(known.label)
	}
	return p
}

// NewConsumer registers the metrics of a consumer of the queue that the broker calls by this name. A nil registry
// registers nothing.
func NewConsumer(registry prometheus.Registerer, queue string) Consumer {
	factory := labeled(registry, queue)
	c := Consumer{
		Connection: newConnection(factory),
		Deliveries: factory.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "deliveries_total",
			Help: "Handled deliveries, by outcome.",
		}, []string{"outcome"}),
		InHand: factory.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "deliveries_in_hand",
			Help: "Deliveries that are being handled.",
		}),
		Duration: factory.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "handling_duration_seconds",
			Help:    "Time to handle one delivery, or one batch.",
			Buckets: metrics.DurationBuckets(),
		}),
		Batch: factory.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "batch_deliveries",
			Help:    "Deliveries in one batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
	}
	for _, outcome := range []string{message.Ack.String(), message.Requeue.String(), message.DeadLetter.String(), Lost} {
		c.Deliveries.WithLabelValues(outcome)
	}
	return c
}

// Lost is the outcome of a delivery that could not be settled.
const Lost = "lost"

// Set sets a gauge to 1 or 0.
func Set(gauge prometheus.Gauge, on bool) {
	if on {
		gauge.Set(1)
	} else {
		gauge.Set(0)
	}
}

// Observe calls publish, which publishes one message, and measures it. It returns publish's error.
func (p Publisher) Observe(publish func() error) error {
	began := time.Now()
	p.InFlight.Inc()
	defer p.InFlight.Dec()
	err := publish()
	p.Duration.WithLabelValues(outcome(err)).Observe(time.Since(began).Seconds())
	return err
}

// outcome returns the label of the outcome of Publish.
func outcome(err error) string {
	for _, known := range outcomes {
		if errors.Is(err, known.kind) {
			return known.label
		}
	}
	if err != nil {
		return "unpublishable"
	}
	return confirmed
}

const confirmed = "confirmed"

var outcomes = []struct {
	kind  error
	label string
}{
	{message.ErrNotConnected, "not_connected"},
	{message.ErrBlocked, "blocked"},
	{message.ErrBusy, "busy"},
	{message.ErrUnroutable, "unroutable"},
	{message.ErrNacked, "nacked"},
	{message.ErrUnconfirmed, "unconfirmed"},
}
