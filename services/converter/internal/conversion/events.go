package conversion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/problem"
	"github.com/docmill/docmill/platform/topology"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// maxPublishDelay bounds the wait between two tries to publish: a broker that is back is found within it.
const maxPublishDelay = 5 * time.Second

// events tells what becomes of one attempt. Its methods return when the broker has confirmed; they try for as long as
// ctx lives.
type events struct {
	publisher Publisher
	jobID     string
	attempt   int
	log       *zap.Logger
}

func (e *events) started(ctx context.Context, began time.Time) error {
	return e.publish(ctx, e.message(&conversionv1.ConversionStarted{
		JobId: e.jobID, Attempt: int32(e.attempt), StartedAt: timestamppb.New(began),
	}))
}

func (e *events) succeeded(ctx context.Context, began time.Time, result *conversionv1.Result) error {
	return e.publish(ctx, e.message(&conversionv1.ConversionSucceeded{
		JobId: e.jobID, Attempt: int32(e.attempt), StartedAt: timestamppb.New(began), FinishedAt: timestamppb.Now(), Result: result,
	}))
}

func (e *events) failed(ctx context.Context, began time.Time, cause *problem.Error) error {
	return e.publish(ctx, e.message(&conversionv1.ConversionFailed{
		JobId: e.jobID, Attempt: int32(e.attempt), StartedAt: timestamppb.New(began), FinishedAt: timestamppb.Now(), Failure: failure(cause),
	}))
}

// retried hands the command to a step of the ladder, and then tells of it. Should the process die between the two, the
// command is there twice, which costs a conversion and loses nothing.
func (e *events) retried(ctx context.Context, command *conversionv1.ConvertRequested, step topology.Step, cause *problem.Error) error {
	next := broker.Message{Body: command, JobID: e.jobID, Attempt: e.attempt + 1, Queue: step.Queue}
	if err := e.publish(ctx, next); err != nil {
		return err
	}
	return e.publish(ctx, e.message(&conversionv1.ConversionRetried{
		JobId: e.jobID, Attempt: int32(e.attempt), Failure: failure(cause), Delay: durationpb.New(step.Delay), RetriedAt: timestamppb.Now(),
	}))
}

func (e *events) message(body proto.Message) broker.Message {
	return broker.Message{Body: body, JobID: e.jobID, Attempt: e.attempt}
}

// failure is a problem as the job's owner reads it: without its causes.
func failure(cause *problem.Error) *conversionv1.Failure {
	entry := problem.Describe(cause.Code)
	detail := cause.Detail
	if cause.Code == problem.Internal {
		detail = entry.Title + "." // its own detail speaks to the sender of a request
	}
	return &conversionv1.Failure{Code: string(cause.Code), Detail: detail + " " + entry.Remedy, Retryable: entry.Retryable}
}

// publish tries until the broker confirms, or ctx ends. A message that was published twice for want of a confirm is
// harmless: status ignores what it knows.
func (e *events) publish(ctx context.Context, message broker.Message) error {
	delays := backoff.NewExponentialBackOff()
	delays.MaxInterval = maxPublishDelay
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := e.publisher.Publish(ctx, message)
		if errors.Is(err, broker.ErrUnpublishable) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(delays), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
		e.log.Warn("an event is not published yet", zap.Error(err), zap.Duration("again_in", wait))
	}))
	if err != nil {
		return fmt.Errorf("publish %T: %w", message.Body, err)
	}
	return nil
}

// progress tells how far an attempt is, beside its work: what cannot be published at once is left out.
type progress struct {
	reports chan *conversionv1.ConversionProgressed
	cancel  context.CancelFunc
	done    chan struct{}
	events  *events
}

// startProgress begins to publish reports. Its user calls stop.
func (e *events) startProgress(ctx context.Context) *progress {
	ctx, cancel := context.WithCancel(ctx)
	p := &progress{reports: make(chan *conversionv1.ConversionProgressed, 1), cancel: cancel, done: make(chan struct{}), events: e}
	go func() {
		defer close(p.done)
		for {
			select {
			case report := <-p.reports:
				if err := e.publisher.Publish(ctx, e.message(report)); err != nil {
					e.log.Debug("progress is not published", zap.Error(err))
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return p
}

// report never waits.
func (p *progress) report(phase conversionv1.Phase, percent int32) {
	select {
	case p.reports <- &conversionv1.ConversionProgressed{
		JobId: p.events.jobID, Attempt: int32(p.events.attempt), Phase: phase, Percent: percent, ProgressedAt: timestamppb.Now(),
	}:
	default:
	}
}

// stop gives up what is not published yet and returns when nothing of it goes on.
func (p *progress) stop() {
	p.cancel()
	<-p.done
}
