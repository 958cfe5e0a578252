// Package conversion processes convert commands: it runs an attempt, publishes the outcome, and acknowledges the
// command only after that publication is confirmed.
package conversion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/processdir"
	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/build"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/pace"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/phase"
)

// Publisher publishes a message. It returns nil once the message is durable; see [message.Publisher].
type Publisher interface {
	Publish(ctx context.Context, m message.Message) error
}

// Deps are the dependencies of a Converter. All fields but Build and Seal are required.
type Deps struct {
	// Slots is the number of concurrent attempts.
	Slots  int
	Engine engine.Engine
	// Renderer makes images of PDFs, and Encrypter encrypts them.
	Renderer  *pdf.Renderer
	Encrypter *pdf.Encrypter
	Publisher Publisher
	// Workdir holds the jobs' directories.
	Workdir *processdir.Dir
	// Publishable returns an error while events cannot be published.
	Publishable func(ctx context.Context) error
	// Space returns an engine.ErrNoSpace while the work directory has too little free space for conversions.
	Space func() error
	// Share returns how many bytes of the disk of the work directory each conversion can use. See [ShareOf].
	Share func() int64
	// Ready returns an error while anything that conversions need does not work.
	Ready func(ctx context.Context) error
	// ResumedAt is when the deadlines of all jobs began again, because nothing could work on them before; usually zero.
	ResumedAt time.Time
	// Stopping is closed when the converter begins to stop: what waits to start, or for the store, then returns its command.
	Stopping <-chan struct{}
	// TransferTimeout limits the transfer of a document or a result, outages of the store included: a store that hangs must
	// not occupy a slot forever. With 10 minutes, 512 MiB need 1 MiB/s.
	TransferTimeout time.Duration
	// DeliveryTimeout limits all work on a delivery. See [DeliveryTimeout].
	DeliveryTimeout time.Duration
	// Formats are those that the engine can read, and Converters what all running converters support.
	Formats    []format.Format
	Converters *fleet.Fleet
	// Fonts and PDF determine which fonts were used for those that a document refers to.
	Fonts *fonts.Library
	PDF   *pdf.Tools
	// Sources is the bucket of the uploaded documents, and Results that of the results.
	Sources, Results blob.Bucket
	// Build identifies what the results depend on; nil if that is unknown.
	Build *build.Build
	// Seal decrypts passwords. If it is nil, there is no key, and jobs with passwords wait for a converter that has it.
	Seal *seal.Box
	// Pace receives the durations of the conversions that end their jobs.
	Pace    *pace.Average
	Metrics *Metrics
	// Phases may be nil.
	Phases *phase.Phases
	Log    *zap.Logger
}

// Converter runs attempts at jobs. It is safe for concurrent use.
type Converter struct {
	deps     Deps
	slots    *slots
	streak   streak
	misses   misses
	evidence evidence

	cancellations cancellations
}

// New returns a Converter.
func New(deps Deps) *Converter {
	slots := newSlots(deps.Slots)
	deps.Metrics.watch(slots)
	return &Converter{deps: deps, slots: slots}
}

// Handler returns the handler for the queues message.Commands and message.Returned. Both share the slots: up to Slots
// deliveries are converted, and as many may wait.
func (c *Converter) Handler() message.Each {
	return message.Each{Concurrency: int(c.slots.all), Handle: c.Handle}
}

// Handle handles a delivery. While the converter cannot work, it publishes the command again, and suspends the consumer until
// Ready returns nil. It acknowledges a command only once the event that ends the job, or the command for its next
// attempt, is durable. If ctx ends before, it publishes the command again, or leaves it to the broker to redeliver it.
func (c *Converter) Handle(ctx context.Context, d *message.Delivery) message.Outcome {
	// A redelivered command was started before, by a converter that died or lost its connection.
	number := d.Attempt + d.DeliveryCount
	log := c.deps.Log.With(logging.JobID(d.JobID), zap.Int("attempt", number), logging.Trace(ctx))
	command, err := decode(d)
	if err != nil {
		log.Error("invalid command; dead-lettering it", zap.Error(err))
		return message.DeadLetter
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.deps.DeliveryTimeout, errOverdue)
	defer cancel()
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attribute.Int("docmill.attempt", number), attribute.String("docmill.source_format", command.GetSource().GetFormat()),
		attribute.String("docmill.target_format", command.GetTarget().GetFormat()))

	command.Losses += int32(d.DeliveryCount) // the broker forgets them when the command is published again
	began := time.Now()
	a := &attempt{
		Deps: c.deps, slots: c.slots, streak: &c.streak, misses: &c.misses, evidence: &c.evidence, command: command, number: number, log: log,
		began: began, report: newReport(requestedAt(command), began),
		events: &events{
			publisher: c.deps.Publisher, jobID: command.GetJobId(), submissionID: command.GetSubmissionId(), generation: command.GetGeneration(),
			attempt: number, log: log,
		},
	}
	err = c.unlessCanceled(ctx, a, func(ctx context.Context) error {
		if a.lost() && d.DeliveryCount > 0 {
			return a.separate(ctx)
		}
		return a.slotted(ctx, a.run)
	})
	if err != nil && abandoned(ctx, err) {
		err = a.returnCommand(ctx, err)
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		a.hold(ctx, d, err)
		return outcomeOf(err, log)
	}
	if a.left || c.streak.resting() != nil {
		return message.Suspend
	}
	return message.Ack
}

// requestedAt returns when the job was accepted; zero if the command does not say.
func requestedAt(command *conversionv1.ConvertRequested) time.Time {
	if command.GetRequestedAt() == nil {
		return time.Time{}
	}
	return command.GetRequestedAt().AsTime()
}

// errMalformed means that a command is invalid.
var errMalformed = errors.New("malformed command")

// decode returns the command in a delivery. It checks everything that an attempt relies on.
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

// outcomeOf returns the outcome of a delivery whose attempt could not be completed.
func outcomeOf(err error, log *zap.Logger) message.Outcome {
	if errors.Is(err, message.ErrUnpublishable) {
		log.Error("cannot publish the outcome of an attempt; dead-lettering its command", zap.Error(err))
		return message.DeadLetter
	}
	log.Warn("attempt abandoned; returning its command to the queue", zap.Error(err))
	return message.Requeue
}

// run makes the attempt and publishes its outcome. An error means that this was not possible.
//
// ConversionStarted is published while the document is converted. It is confirmed before the event that ends the
// attempt is published.
func (a *attempt) run(ctx context.Context) error {
	if err := a.awaitPublisher(ctx); err != nil {
		return err
	}
	if err := a.requireSupport(); err != nil {
		return a.pass(ctx, err)
	}
	if a.command.GetExpiresAt() != nil && a.expired() { // the job has failed already
		return a.expire(ctx, nil)
	}
	if err := a.fit(ctx); err != nil {
		return a.leave(ctx, err)
	}
	a.began = time.Now()
	a.report = newReport(requestedAt(a.command), a.began)
	a.started = a.began
	started := a.events.start(ctx, a.began)
	a.Metrics.begun()
	result, err := a.makeInTime(ctx)
	over := ctx.Err() != nil || errors.Is(err, errStopping) || errors.Is(err, errCanceled)
	a.Metrics.ended(a.command.GetSource().GetFormat(), label(err, over), time.Since(a.began))
	if !over {
		a.streak.ended(err)
	}
	if unpublished := <-started; unpublished != nil && !over {
		return unpublished
	}
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("docmill.code", label(err, over)))
	if err == nil || documentFailed(err) {
		a.Pace.Add(time.Since(a.began))
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("convert: %w", context.Cause(ctx))
	case over:
		return err
	case err == nil:
		a.evidence.succeeded()
		return a.succeed(ctx, result)
	case documentFailed(err):
		return a.fail(ctx, problem.From(err))
	case a.full(ctx) != nil: // checked after the job's directory was removed: the document alone did not fill the disk
		return a.postpone(ctx, err)
	default:
		return a.retry(ctx, err)
	}
}

func (a *attempt) succeed(ctx context.Context, result *conversionv1.Result) error {
	a.Metrics.moved(a.command.GetSource().GetSize(), result.GetSize())
	a.log.Info("converted", a.facts(zap.Int32("pages", result.GetPages()), zap.Int64("result_bytes", result.GetSize()))...)
	return a.events.succeeded(ctx, a.began, result, a.build(), a.report)
}

func (a *attempt) fail(ctx context.Context, failure *problem.Error) error {
	a.log.Info("conversion failed", a.facts(zap.Error(failure))...)
	return a.events.failed(ctx, a.began, failure, a.report)
}

// documentFailed reports whether an attempt failed because of its document, for good.
func documentFailed(err error) bool { return !problem.Describe(problem.From(err).Code).Retryable }

const (
	// maxSuspicions is how many attempts may fail in a way that the document may have caused.
	maxSuspicions = 4
	// maxMisses is the number of attempts with a missing document after which the job fails.
	maxMisses = 3
	// retryFor is how long after its submission a job is retried or postponed if its command does not say when it expires.
	// It is the default of --job-deadline.
	retryFor = 24 * time.Hour
)

// retry schedules the next attempt after a transient failure. It fails the job only if its document has been suspected
// or missing too often, or if the job is too old.
func (a *attempt) retry(ctx context.Context, cause error) error {
	next := proto.CloneOf(a.command)
	next.Retries++
	if !errors.Is(cause, errSuspicious) {
		next.Losses = 0 // the converter survived, and the losses of a long outage must not add up
	}
	switch {
	case errors.Is(cause, errSuspicious):
		next.Suspicions++
	case errors.Is(cause, errUncertain):
		a.evidence.count(next, a.suspected())
	case errors.Is(cause, errMissing):
		next.Misses++
	}
	switch {
	case next.GetMisses() >= maxMisses:
		return a.fail(ctx, problem.New(problem.SourceMissing, "The uploaded file was removed before it was converted.").Because(cause))
	case next.GetSuspicions() >= maxSuspicions:
		return a.fail(ctx, problem.New(problem.AttemptsExhausted, "The conversion failed %d times because of internal errors.", next.GetSuspicions()).Because(cause))
	case a.expired():
		return a.expire(ctx, cause)
	}
	delay := message.DelayAfter(int(next.GetRetries()))
	a.log.Warn("attempt failed; retrying", a.facts(zap.Duration("delay", delay), zap.Error(cause))...)
	return a.events.retried(ctx, next, delay, problem.From(cause))
}

// leave returns the command to other converters at once, because this one cannot work.
func (a *attempt) leave(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("check this converter: %w", context.Cause(ctx))
	}
	a.left = true
	if a.expired() {
		return a.expire(ctx, cause)
	}
	a.log.Warn("this converter cannot work; leaving the command to others", a.facts(zap.Error(cause))...)
	return a.events.returned(ctx, a.command, 0)
}

// postpone returns the command with a delay, and does not count the attempt.
func (a *attempt) postpone(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("wait to start: %w", context.Cause(ctx))
	}
	if a.expired() {
		return a.expire(ctx, cause)
	}
	delay := message.DelayAfter(1)
	a.log.Warn("postponing the conversion", a.facts(zap.Duration("delay", delay), zap.Error(cause))...)
	return a.events.returned(ctx, a.command, delay)
}

// facts returns the fields of every log line about an attempt's end.
func (a *attempt) facts(more ...zap.Field) []zap.Field {
	source := a.command.GetSource()
	return append([]zap.Field{
		zap.String("format", source.GetFormat()), zap.Int64("source_bytes", source.GetSize()),
		zap.Duration("seconds", time.Since(a.began)),
	}, more...)
}

// build returns the build of the result of the attempt; nil if the result must not be reused. It looks once more whether something has changed
// meanwhile.
func (a *attempt) build() []byte {
	if len(a.command.GetCacheDigest()) == 0 {
		return nil
	}
	return a.Build.Check()
}
