// Package deadletter fails the jobs whose commands were dead-lettered: those that no converter could read, and those whose
// deliveries were lost too often.
package deadletter

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/metrics"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/ending"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Consumer fails the jobs of dead-lettered commands.
type Consumer struct {
	store jobstore.Store
	clock *clock.Clock
	keep  job.Retention
	ends  *ending.Metrics
	log   *zap.Logger
	dead  prometheus.Counter
}

// New returns a consumer, which counts the jobs that it ends, and the commands in registry. The files of the jobs are kept for the
// retention.
func New(
	store jobstore.Store, clock *clock.Clock, retention job.Retention, ends *ending.Metrics, log *zap.Logger, registry prometheus.Registerer,
) *Consumer {
	return &Consumer{store: store, clock: clock, keep: retention, ends: ends, log: log, dead: promauto.With(registry).NewCounter(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: "status", Name: "dead_commands_total",
		Help: "Commands that were dead-lettered, and whose jobs were failed. The log has the details of each.",
	})}
}

// maxBatch is small because dead letters are rare. They are handled in batches because a failing batch is held and
// retried.
const maxBatch = 32

// Handler returns the handler for the queue message.DeadCommands.
func (c *Consumer) Handler() message.Handler { return message.Batches{Max: maxBatch, Handle: c.apply} }

// apply ends the jobs. After that every dead letter is acknowledged: there is no further queue behind this one, and
// the log has the details.
func (c *Consumer) apply(ctx context.Context, batch []*message.Delivery) error {
	now, err := c.clock.Now(ctx)
	if err != nil {
		return err
	}
	var events []job.Event
	for _, d := range batch {
		events = append(events, c.eventsOf(d, now)...)
	}
	outcomes, err := c.store.Apply(ctx, events)
	if err != nil {
		return err
	}
	var submitted time.Time // of the job whose end comes next
	for i, outcome := range outcomes {
		if outcome.Refused != nil {
			c.log.Error("cannot fail the job of a dead-lettered command", zap.Error(outcome.Refused),
				logging.JobID(events[i].Job().String()))
		}
		switch e := events[i].(type) {
		case job.Submitted:
			submitted = e.Submission.RequestedAt
		case job.Ended:
			if outcome.Changed {
				c.ends.Count(problem.AttemptsExhausted, submitted)
			}
			submitted = time.Time{}
		}
	}
	c.dead.Add(float64(len(batch)))
	for _, d := range batch {
		c.log.Error("command was dead-lettered; failing its job", logging.JobID(d.JobID), zap.String("death", string(d.Death)),
			zap.Int("attempt", d.Attempt), zap.Int("deliveries", d.DeliveryCount), zap.String("type", d.Type),
			zap.String("message_id", d.ID), zap.String("app", d.App), zap.Time("published_at", d.PublishedAt),
			zap.Int("bytes", len(d.Body)), logging.Trace(d.Context(ctx)))
	}
	return nil
}

// eventsOf returns the events that follow from a dead-lettered command: its submission, without which clients could
// not see the job if the event of the submission was lost, and the end. A command that cannot be decoded still names
// its job outside of its body. Nothing follows from one that names no job.
func (c *Consumer) eventsOf(d *message.Delivery, now time.Time) []job.Event {
	if submission, generation, found := submission(d); found {
		end := job.Fail(submission.Job(), generation, int32(d.Attempt), failure(d.Death))
		end.SubmissionID = submission.SubmissionID
		return []job.Event{submission, c.keep.Keep(end, now)}
	}
	id, err := job.ParseID(d.JobID)
	if err != nil {
		return nil
	}
	return []job.Event{c.keep.Keep(job.Fail(id, 0, int32(d.Attempt), failure(d.Death)), now)}
}

// submission returns the submission that a command was made for, and the generation of the command.
func submission(d *message.Delivery) (s job.Submitted, generation int32, found bool) {
	body, err := d.Message()
	if err != nil {
		return s, 0, false
	}
	command, ok := body.(*conversionv1.ConvertRequested)
	if !ok {
		return s, 0, false
	}
	event, err := job.Read(command)
	s, ok = event.(job.Submitted)
	return s, command.GetGeneration(), ok && err == nil
}

func failure(death message.Death) *problem.Error {
	if death == message.DeliveryLimit { // which says nothing about the document: see message.CommandsDeliveryLimit
		return problem.New(problem.AttemptsExhausted, "The converters that received the job died or lost their connections.")
	}
	return problem.New(problem.AttemptsExhausted, "No converter could process the job.")
}
