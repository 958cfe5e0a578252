// Package deadletter ends the jobs whose commands the broker has given up: those that took their converter down again and
// again, and those that no converter could read.
package deadletter

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/logging"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/postgres"
)

// Store makes events durable.
type Store interface {
	Apply(ctx context.Context, events []fold.Event) ([]postgres.Outcome, error)
}

// Consumer fails the jobs of dead commands.
type Consumer struct {
	store Store
	log   *zap.Logger
}

// New makes a consumer.
func New(store Store, log *zap.Logger) *Consumer { return &Consumer{store: store, log: log} }

// most is the size of a batch. Dead letters are rare; the batch is for the broker package's way to hold what cannot be applied yet.
const most = 32

// Work is what the consumer of the queue topology.ConvertDead does.
func (c *Consumer) Work() broker.Work { return broker.Batches(most, c.apply) }

// apply makes the ends durable. Every dead letter is acknowledged then: there is no further queue for the dead of the dead,
// and the log has the evidence.
func (c *Consumer) apply(ctx context.Context, batch []*broker.Delivery) error {
	var events []fold.Event
	for _, d := range batch {
		events = append(events, ends(d)...)
	}
	outcomes, err := c.store.Apply(ctx, events)
	if err != nil {
		return err
	}
	for _, outcome := range outcomes {
		if outcome.Refused != nil {
			c.log.Error("a dead command's job cannot be failed", zap.Error(outcome.Refused))
		}
	}
	for _, d := range batch {
		c.log.Error("a command was given up; its job fails", logging.JobID(d.JobID), zap.String("death", d.Death),
			zap.Int("attempt", d.Attempt), zap.Int("deliveries", d.DeliveryCount), zap.String("type", d.Type),
			zap.String("message_id", d.MessageID), zap.String("app", d.App), zap.Time("published_at", d.PublishedAt),
			zap.Int("bytes", len(d.Body)), logging.Trace(d.Context(ctx)))
	}
	return nil
}

// ends gives the events that a dead command amounts to: its submission, which is all that a client can see the job by should
// the event of it be lost, and the end. A command that cannot be read still names its job outside of its body. Of one
// that names none nothing follows.
func ends(d *broker.Delivery) []fold.Event {
	var events []fold.Event
	id, err := fold.ParseID(d.JobID)
	if submission, found := submission(d); found {
		events, id, err = append(events, submission), submission.Job(), nil
	}
	if err != nil {
		return nil
	}
	return append(events, fold.Ended{
		JobID: fold.JobID(id), Attempt: int32(d.Attempt),
		FinishedAt: time.Now().UTC().Truncate(time.Microsecond), Failure: failure(d.Death),
	})
}

func submission(d *broker.Delivery) (fold.Event, bool) {
	message, err := d.Message()
	if err != nil {
		return nil, false
	}
	if _, is := message.(*conversionv1.ConvertRequested); !is {
		return nil, false
	}
	event, err := fold.Read(message)
	return event, err == nil
}

// deliveryLimit is how the broker says that a message came back unacknowledged too often.
const deliveryLimit = "delivery_limit"

func failure(death string) *fold.Failure {
	cause := problem.New(problem.EngineCrashed, "Every converter that tried to convert the document crashed.")
	if death != deliveryLimit {
		cause = problem.New(problem.AttemptsExhausted, "No converter could accept the job.")
	}
	failure := cause.Failure()
	return &fold.Failure{Code: string(failure.Code), Detail: failure.Detail, Retryable: failure.Retryable}
}
