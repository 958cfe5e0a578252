package deadletter

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/metrics"
)

// Interval is the usual time between two measurements of the queues.
const Interval = 10 * time.Second

// depthTimeout limits one measurement.
const depthTimeout = 5 * time.Second

// Counter returns the number of messages in a queue; see [message.Publisher].
type Counter interface {
	Depth(ctx context.Context, queue message.Queue) (int, error)
}

// Depths measures how many messages are in the dead-letter queues. All replicas of the service report the same numbers.
type Depths struct {
	every  time.Duration
	queues Counter
	gauge  *prometheus.GaugeVec
}

// NewDepths returns a component that measures periodically, for a metric in registry.
func NewDepths(queues Counter, every time.Duration, registry prometheus.Registerer) *Depths {
	return &Depths{every: every, queues: queues, gauge: promauto.With(registry).NewGaugeVec(prometheus.GaugeOpts{
		Namespace: metrics.Namespace, Subsystem: "status", Name: "dead_letters",
		Help: "Messages in the dead-letter queues, while their number is known: dead events wait for the command redrive.",
	}, []string{"queue"})}
}

// Run measures until drain is closed. It is a component of package host.
func (d *Depths) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return host.Every(d.every, d.measure)(ctx, ready, drain)
}

func (d *Depths) measure(ctx context.Context) {
	for _, queue := range []message.Queue{message.DeadEvents, message.DeadCommands} {
		ctx, cancel := context.WithTimeout(ctx, depthTimeout)
		depth, err := d.queues.Depth(ctx, queue)
		cancel()
		if err != nil { // do not report an outdated number
			d.gauge.DeleteLabelValues(queue.String())
			continue
		}
		d.gauge.WithLabelValues(queue.String()).Set(float64(depth))
	}
}
