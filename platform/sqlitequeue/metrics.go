package sqlitequeue

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/docmill/docmill/platform/metrics"
)

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
