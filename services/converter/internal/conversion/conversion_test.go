package conversion_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/conversion"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

func TestSuccess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	document := []byte("a document")
	command := b.submit(document, nil)
	consumer := b.start(func(ctx context.Context, request engine.Request) (engine.Output, error) {
		content, err := os.ReadFile(request.Source)
		if err != nil || string(content) != string(document) || request.Format.ID != "pptx" || request.Target.ID != "pdf" {
			return engine.Output{}, fmt.Errorf("%+v has %q: %w", request, content, err)
		}
		return copies(ctx, request)
	})

	started := expect[*conversionv1.ConversionStarted](b)
	require.Equal(t, command.GetJobId(), started.GetJobId())
	require.EqualValues(t, 1, started.GetAttempt())
	succeeded := expect[*conversionv1.ConversionSucceeded](b)
	require.True(t, proto.Equal(started.GetStartedAt(), succeeded.GetStartedAt()))
	require.False(t, succeeded.GetFinishedAt().AsTime().Before(succeeded.GetStartedAt().AsTime()))

	result := succeeded.GetResult()
	prefix, name, _ := strings.Cut(result.GetObjectKey(), "/")
	require.Equal(t, command.GetJobId(), prefix)
	require.NoError(t, uuid.Validate(strings.TrimSuffix(name, ".pdf")))
	require.Equal(t, "application/pdf", result.GetContentType())
	require.EqualValues(t, 3, result.GetPages())
	stored := b.object(b.ResultsBucket, result.GetObjectKey())
	sum := sha256.Sum256(stored)
	require.Equal(t, sum[:], result.GetSha256())
	require.EqualValues(t, len(stored), result.GetSize())
	b.settled(consumer)
}

func TestPermanentFailures(t *testing.T) {
	t.Parallel()
	never := func(context.Context, engine.Request) (engine.Output, error) {
		return engine.Output{}, fmt.Errorf("must not be called")
	}
	for name, c := range map[string]struct {
		change  func(*conversionv1.ConvertRequested)
		convert convertFunc
		want    problem.Code
	}{
		"a document's problem": {nil, func(context.Context, engine.Request) (engine.Output, error) {
			return engine.Output{}, problem.New(problem.PasswordRequired, "It is encrypted.").Because(errEngine)
		}, problem.PasswordRequired},
		"another source":   {func(c *conversionv1.ConvertRequested) { c.Source.Sha256[0]++; c.Misses = 2 }, never, problem.SourceMissing},
		"a shorter source": {func(c *conversionv1.ConvertRequested) { c.Source.Size++; c.Misses = 2 }, never, problem.SourceMissing},
		"a longer source":  {func(c *conversionv1.ConvertRequested) { c.Source.Size--; c.Misses = 2 }, never, problem.SourceMissing},
		"a crash": {nil, func(context.Context, engine.Request) (engine.Output, error) {
			return engine.Output{}, problem.New(problem.EngineCrashed, "It crashed.")
		}, problem.EngineCrashed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			command := b.submit([]byte("a document"), c.change)
			consumer := b.start(c.convert)
			expect[*conversionv1.ConversionStarted](b)
			failed := expect[*conversionv1.ConversionFailed](b)
			require.Equal(t, command.GetJobId(), failed.GetJobId())
			require.Equal(t, string(c.want), failed.GetFailure().GetCode())
			require.False(t, failed.GetFailure().GetRetryable())
			require.NotContains(t, failed.GetFailure().GetDetail(), problem.Remedy(c.want), "status looks it up")
			require.NotContains(t, failed.GetFailure().GetDetail(), errEngine.Error(), "causes are for the log")
			b.settled(consumer)
		})
	}
}

func TestInvalidCommandsAreDeadLettered(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]*conversionv1.ConvertRequested{
		"no source": {JobId: "job"},
		"nothing":   {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.publish(message.Message{JobID: "job", Body: command})
			consumer := b.start(copies)
			require.Equal(t, "job", b.take(message.DeadCommands).JobID)
			b.settled(consumer)
		})
	}
}

// TestOtherMessagesAreDeadLettered: only another program could put one into the queue of commands.
func TestOtherMessagesAreDeadLettered(t *testing.T) {
	t.Parallel()
	event := message.Message{Body: &conversionv1.ConversionStarted{JobId: "job"}}
	envelope, err := message.Encode(t.Context(), event, "test")
	require.NoError(t, err)
	converter := conversion.New(conversion.Deps{Log: zaptest.NewLogger(t)})
	require.Equal(t, message.DeadLetter, converter.Handle(t.Context(), &message.Delivery{Envelope: envelope}))
	envelope.Type = "docmill.conversion.v9.FromTheFuture"
	require.Equal(t, message.DeadLetter, converter.Handle(t.Context(), &message.Delivery{Envelope: envelope}))
}

func TestTransientFailureIsRetried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	command := b.submit([]byte("a document"), nil)
	consumer := b.start(func(context.Context, engine.Request) (engine.Output, error) { return engine.Output{}, errEngine })
	expect[*conversionv1.ConversionStarted](b)
	retried := expect[*conversionv1.ConversionRetried](b)
	require.EqualValues(t, 1, retried.GetAttempt())
	require.Equal(t, string(problem.Internal), retried.GetFailure().GetCode())
	require.True(t, retried.GetFailure().GetRetryable())
	require.NotContains(t, retried.GetFailure().GetDetail(), errEngine.Error())
	require.Equal(t, message.RetryDelays()[0], retried.GetDelay().AsDuration())
	b.settled(consumer)

	again := b.take(message.Returned) // after the delay
	require.Equal(t, 2, again.Attempt)
	got, err := again.Message()
	require.NoError(t, err)
	command.Retries, command.Suspicions = 1, 1
	require.True(t, proto.Equal(command, got), "the same command")
}

// TestPanicEndsOnlyItsJob checks that a bug that a document finds in this process is a transient failure of its job,
// and that the converter goes on.
func TestPanicEndsOnlyItsJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hostile := b.submit([]byte("a hostile document"), nil)
	innocent := b.submit([]byte("another document"), nil)
	consumer := b.start(func(ctx context.Context, request engine.Request) (engine.Output, error) {
		content, err := os.ReadFile(request.Source)
		require.NoError(t, err)
		if string(content) == "a hostile document" {
			panic("index out of range")
		}
		return copies(ctx, request)
	})
	outcomes := map[string]string{}
	for len(outcomes) < 2 {
		switch m := next(t, b.events).(type) {
		case *conversionv1.ConversionRetried:
			outcomes[m.GetJobId()] = "retried"
		case *conversionv1.ConversionSucceeded:
			outcomes[m.GetJobId()] = "succeeded"
		}
	}
	require.Equal(t, map[string]string{hostile.GetJobId(): "retried", innocent.GetJobId(): "succeeded"}, outcomes)
	b.settled(consumer)
}

// TestMissingKeyIsTransient checks passwords that were sealed with another key: an operator may have given a new key to
// the gateways first.
func TestMissingKeyIsTransient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other, err := seal.New(seal.Config{Keys: config.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 32)))})
	require.NoError(t, err)
	b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) {
		command.Target.SealedSecrets = other.Seal(command.GetJobId(), []byte("secret"))
	})
	consumer := b.start(copies)
	expect[*conversionv1.ConversionStarted](b)
	retried := expect[*conversionv1.ConversionRetried](b)
	require.Equal(t, string(problem.Internal), retried.GetFailure().GetCode())
	b.settled(consumer)
}

func TestLostConnectionRedeliversTheCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	b.converterBroker.URL = link.Through(b.BrokerURL)
	hand := newByHand()
	b.submit([]byte("a document"), nil)
	consumer := b.start(hand.convert)
	first := next(t, hand.calls)
	expect[*conversionv1.ConversionStarted](b)
	link.Cut() // which abandons the first conversion
	link.Restore()
	second := next(t, hand.calls)
	require.NotEqual(t, first.Directory, second.Directory)
	hand.answer <- nil
	require.EqualValues(t, 2, expect[*conversionv1.ConversionStarted](b).GetAttempt(), "a redelivery is another attempt")
	require.EqualValues(t, 2, expect[*conversionv1.ConversionSucceeded](b).GetAttempt())
	b.settled(consumer)
}

// TestOutcomeIsPublishedBeforeTheAck interrupts the publisher's connection when the conversion ends: the command must
// stay unacknowledged until the outcome is published.
func TestOutcomeIsPublishedBeforeTheAck(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	b.publisherBroker.URL = link.Through(b.BrokerURL)
	started, tries := make(chan error, 100), make(chan error, 100)
	b.wrap = func(p conversion.Publisher) conversion.Publisher { return observed{p, started, tries} }
	hand := newByHand()
	b.submit([]byte("a document"), nil)
	consumer := b.start(hand.convert)
	expect[*conversionv1.ConversionStarted](b)
	next(t, hand.calls)
	require.NoError(t, next(t, started), "the outcome is only published after the start is confirmed")
	link.Cut()
	hand.answer <- nil
	require.ErrorIs(t, next(t, tries), message.ErrNotConnected)
	require.ErrorIs(t, next(t, tries), message.ErrNotConnected, "it tries again")
	consumer.drain()
	select {
	case <-consumer.done:
		require.Fail(t, "the command was settled before its outcome was published")
	default:
	}
	link.Restore()
	expect[*conversionv1.ConversionSucceeded](b)
	b.settled(consumer)
}

// observed sends the results of publishing a start, and the errors of publishing a success.
type observed struct {
	conversion.Publisher
	started, failed chan<- error
}

func (o observed) Publish(ctx context.Context, m message.Message) error {
	err := o.Publisher.Publish(ctx, m)
	switch m.Body.(type) {
	case *conversionv1.ConversionStarted:
		o.started <- err
	case *conversionv1.ConversionSucceeded:
		if err != nil {
			o.failed <- err
		}
	}
	return err
}

func TestDrainFinishesRunningConversions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hand := newByHand()
	b.submit([]byte("a document"), nil)
	consumer := b.start(hand.convert)
	next(t, hand.calls)
	consumer.drain()
	hand.answer <- nil
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.settled(consumer)
}

// TestHardStopReturnsTheCommand checks that a drain that takes too long counts neither a delivery nor an attempt.
func TestHardStopReturnsTheCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hand := newByHand()
	command := b.submit([]byte("a document"), nil)
	consumer := b.start(hand.convert)
	abandoned := next(t, hand.calls)
	expect[*conversionv1.ConversionStarted](b)
	consumer.cancel()
	require.NoError(t, next(t, consumer.done))
	again := b.take(message.Returned)
	require.Equal(t, 1, again.Attempt)
	require.Zero(t, again.DeliveryCount)
	body, err := again.Message()
	require.NoError(t, err)
	require.True(t, proto.Equal(command, body), "it is unchanged")
	require.False(t, exists(abandoned.Directory))
	require.Empty(t, b.events, "no outcome was published")
}

// blocked never publishes progress.
type blocked struct {
	conversion.Publisher
	attempts *atomic.Int64
}

func (p blocked) Publish(ctx context.Context, m message.Message) error {
	if _, progress := m.Body.(*conversionv1.ConversionProgressed); progress {
		p.attempts.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}
	return p.Publisher.Publish(ctx, m)
}

func TestProgressDoesNotBlock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	attempts := &atomic.Int64{}
	b.wrap = func(p conversion.Publisher) conversion.Publisher { return blocked{p, attempts} }
	hand := newByHand()
	b.submit([]byte("a document"), nil)
	consumer := b.start(hand.convert)
	next(t, hand.calls)
	require.Eventually(t, func() bool { return attempts.Load() > 0 }, patience, patience/1000)
	hand.answer <- nil
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.settled(consumer)
}
