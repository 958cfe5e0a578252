// Package conversion processes convert commands: it makes an attempt, publishes its outcome, and acknowledges the command
// only after that publication is confirmed.
package conversion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/objectstore"
	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/protect"
	"github.com/docmill/docmill/services/converter/internal/render"
	"github.com/docmill/docmill/services/converter/internal/workdir"
)

// Publisher publishes a message and returns nil once it is durable; see [message.Publisher].
type Publisher interface {
	Publish(ctx context.Context, m message.Message) error
}

// Parts are what a Converter works with. All but Seal are required.
type Parts struct {
	Engine engine.Engine
	// Renderer makes pictures of PDFs, and Protector encrypts them.
	Renderer  *render.Renderer
	Protector *protect.Protector
	Store     *objectstore.Store
	Publisher Publisher
	// Folder holds the jobs' folders.
	Folder *workdir.Folder
	// Fonts and PDF tell what stood in for the fonts that a document names.
	Fonts *fonts.Library
	PDF   *pdf.Inspector
	// Sources and Results are the buckets.
	Sources, Results string
	// Seal opens passwords; nil when there is no key, and jobs with passwords wait for a converter that has it.
	Seal    *seal.Box
	Metrics *Metrics
	Log     *zap.Logger
}

// Converter works on jobs. It is safe for concurrent use.
type Converter struct{ parts Parts }

// New makes a Converter.
func New(parts Parts) *Converter { return &Converter{parts: parts} }

// Handle handles a delivery of the queue of commands; it is for [message.Each]. It acknowledges a command once the event
// that ends the job, or the command for its next attempt, is durable. It returns the command to its queue if ctx ends before.
func (c *Converter) Handle(ctx context.Context, d *message.Delivery) message.Outcome {
	// A redelivery was started before, by a converter that died or lost its connection.
	number := d.Attempt + d.DeliveryCount
	log := c.parts.Log.With(logging.JobID(d.JobID), zap.Int("attempt", number), logging.Trace(ctx))
	command, err := decode(d)
	if err != nil {
		log.Error("malformed command; dead-lettering it", zap.Error(err))
		return message.DeadLetter
	}
	ctx, span := otel.Tracer("docmill-converter").Start(ctx, "convert", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("docmill.job_id", command.GetJobId()), attribute.Int("docmill.attempt", number),
			attribute.String("docmill.source_format", command.GetSource().GetFormat())))
	defer span.End()

	began := time.Now()
	a := &attempt{
		Parts: c.parts, command: command, number: number, began: began, log: log,
		report: newReport(requestedAt(command), began),
		events: &events{publisher: c.parts.Publisher, jobID: command.GetJobId(), attempt: number, log: log},
	}
	if err := a.run(ctx); err != nil {
		span.SetStatus(codes.Error, err.Error())
		return outcomeOf(err, log)
	}
	return message.Ack
}

// requestedAt returns when the job was accepted; zero if the command does not contain it.
func requestedAt(command *conversionv1.ConvertRequested) time.Time {
	if command.GetRequestedAt() == nil {
		return time.Time{}
	}
	return command.GetRequestedAt().AsTime()
}

// errMalformed means that a command is permanently invalid.
var errMalformed = errors.New("malformed command")

// decode returns the command in a delivery. It has everything that an attempt relies on.
func decode(d *message.Delivery) (*conversionv1.ConvertRequested, error) {
	body, err := d.Message()
	if err != nil {
		return nil, err
	}
	command, ok := body.(*conversionv1.ConvertRequested)
	if !ok {
		return nil, fmt.Errorf("%w: it is a %s", errMalformed, d.Type)
	}
	source := command.GetSource()
	switch {
	case command.GetJobId() == "":
		return nil, fmt.Errorf("%w: it has no job id", errMalformed)
	case source.GetObjectKey() == "" || source.GetFormat() == "" || len(source.GetSha256()) == 0:
		return nil, fmt.Errorf("%w: its source is incomplete", errMalformed)
	case command.GetTarget().GetFormat() == "":
		return nil, fmt.Errorf("%w: it has no target", errMalformed)
	}
	return command, nil
}

// outcomeOf returns the outcome of a command whose attempt did not reach an end.
func outcomeOf(err error, log *zap.Logger) message.Outcome {
	if errors.Is(err, message.ErrUnpublishable) {
		log.Error("outcome of the attempt cannot be published; dead-lettering the command", zap.Error(err))
		return message.DeadLetter
	}
	log.Warn("attempt abandoned; the command will be redelivered", zap.Error(err))
	return message.Requeue
}

// run makes the attempt and publishes its outcome. It returns an error if that could not be published.
func (a *attempt) run(ctx context.Context) error {
	if err := a.events.started(ctx, a.began); err != nil {
		return err
	}
	a.Metrics.begun()
	result, err := a.make(ctx)
	abandoned := ctx.Err() != nil
	a.Metrics.ended(a.command.GetSource().GetFormat(), label(err, abandoned), time.Since(a.began))
	switch {
	case abandoned:
		return fmt.Errorf("convert: %w", context.Cause(ctx))
	case err == nil:
		return a.succeed(ctx, result)
	case problem.Describe(problem.From(err).Code).Retryable:
		return a.retry(ctx, err)
	default:
		return a.fail(ctx, problem.From(err))
	}
}

func (a *attempt) succeed(ctx context.Context, result *conversionv1.Result) error {
	a.Metrics.moved(a.command.GetSource().GetSize(), result.GetSize())
	a.log.Info("converted", a.facts(zap.Int32("pages", result.GetPages()), zap.Int64("result_bytes", result.GetSize()))...)
	return a.events.succeeded(ctx, a.began, result, a.report)
}

func (a *attempt) fail(ctx context.Context, failure *problem.Error) error {
	a.log.Info("document not converted", a.facts(zap.Error(failure))...)
	return a.events.failed(ctx, a.began, failure, a.report)
}

// retry publishes the command for the next attempt, or fails the job after the last one. A transient cause is never the
// document's fault, and so it is a warning about the service.
func (a *attempt) retry(ctx context.Context, cause error) error {
	delay, again := message.DelayAfter(a.number)
	if !again {
		return a.fail(ctx, problem.New(problem.AttemptsExhausted, "It failed %d times for reasons of the service.", a.number).Because(cause))
	}
	a.log.Warn("attempt failed for a transient reason", a.facts(zap.Duration("delay", delay), zap.Error(cause))...)
	return a.events.retried(ctx, a.command, delay, problem.From(cause))
}

// facts returns the fields of every log entry about the end of an attempt.
func (a *attempt) facts(more ...zap.Field) []zap.Field {
	source := a.command.GetSource()
	return append([]zap.Field{
		zap.String("format", source.GetFormat()), zap.Int64("source_bytes", source.GetSize()),
		zap.Duration("seconds", time.Since(a.began)),
	}, more...)
}
