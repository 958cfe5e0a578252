// Package conversion does the converter's work on a job: it takes a command, makes an attempt at it and tells what came of
// it, and settles the command only when that is told for good.
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

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/topology"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/protect"
	"github.com/docmill/docmill/services/converter/internal/render"
	"github.com/docmill/docmill/services/converter/internal/workdir"
)

// Publisher publishes a message and returns nil when the broker has it for good.
type Publisher interface {
	Publish(ctx context.Context, message broker.Message) error
}

// Parts are what a Converter works with. All but Seal are required.
type Parts struct {
	Engine engine.Engine
	// Renderer makes pictures of PDFs, and Protector encrypts them.
	Renderer  *render.Renderer
	Protector *protect.Protector
	Publisher Publisher
	// Folder holds the jobs' folders.
	Folder *workdir.Folder
	// Fonts and PDF tell what stood in for the fonts that a document names.
	Fonts *fonts.Library
	PDF   *pdf.Inspector
	// Sources is the bucket of the uploaded documents, and Results that of the results.
	Sources, Results blob.Bucket
	// Seal opens passwords; nil when there is no key, and jobs with passwords wait for a converter that has it.
	Seal    *seal.Box
	Metrics *Metrics
	Log     *zap.Logger
}

// Converter works on jobs. It is safe for concurrent use.
type Converter struct{ parts Parts }

// New makes a Converter.
func New(parts Parts) *Converter { return &Converter{parts: parts} }

// Handle is a broker.EachHandler for the queue of commands. It acknowledges a command only when the broker has confirmed
// the event that ends the job, or the command for its next attempt. It gives the command back when ctx ends before.
func (c *Converter) Handle(ctx context.Context, d *broker.Delivery) broker.Outcome {
	// A delivery that came back was begun before, by a converter that died or lost its connection.
	number := d.Attempt + d.DeliveryCount
	log := c.parts.Log.With(logging.JobID(d.JobID), zap.Int("attempt", number), logging.Trace(ctx))
	command, err := decode(d)
	if err != nil {
		log.Error("a command that cannot be understood goes to the dead letters", zap.Error(err))
		return broker.DeadLetter
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
	return broker.Ack
}

// requestedAt is when the job was accepted; zero when the command does not say.
func requestedAt(command *conversionv1.ConvertRequested) time.Time {
	if command.GetRequestedAt() == nil {
		return time.Time{}
	}
	return command.GetRequestedAt().AsTime()
}

// errMalformed says that a command is wrong for good.
var errMalformed = errors.New("malformed command")

// decode gives the command in a delivery. What it lets through has all the parts that an attempt relies on.
func decode(d *broker.Delivery) (*conversionv1.ConvertRequested, error) {
	message, err := d.Message()
	if err != nil {
		return nil, err
	}
	command, ok := message.(*conversionv1.ConvertRequested)
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

// outcomeOf says what becomes of a command whose attempt could not be brought to an end.
func outcomeOf(err error, log *zap.Logger) broker.Outcome {
	if errors.Is(err, broker.ErrUnpublishable) {
		log.Error("what came of an attempt cannot be told; the command goes to the dead letters", zap.Error(err))
		return broker.DeadLetter
	}
	log.Warn("an attempt is abandoned; the command comes again", zap.Error(err))
	return broker.Release
}

// run makes the attempt and tells what came of it. Its error says that this could not be told.
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
	a.log.Info("the document was not converted", a.facts(zap.Error(failure))...)
	return a.events.failed(ctx, a.began, failure, a.report)
}

// retry puts the command on the next step of the ladder, or fails the job when there is none. A cause that may pass is
// never a document's fault, and so a warning of the service.
func (a *attempt) retry(ctx context.Context, cause error) error {
	step, found := topology.After(a.number)
	if !found {
		return a.fail(ctx, problem.New(problem.AttemptsExhausted, "It failed %d times for reasons of the service.", a.number).Because(cause))
	}
	a.log.Warn("an attempt failed for a reason that may pass", a.facts(zap.Duration("delay", step.Delay), zap.Error(cause))...)
	return a.events.retried(ctx, a.command, step, problem.From(cause))
}

// facts are what every line about an attempt's end says.
func (a *attempt) facts(more ...zap.Field) []zap.Field {
	source := a.command.GetSource()
	return append([]zap.Field{
		zap.String("format", source.GetFormat()), zap.Int64("source_bytes", source.GetSize()),
		zap.Duration("seconds", time.Since(a.began)),
	}, more...)
}
