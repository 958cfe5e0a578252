package conversion_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// taken is a conversion that a test ends.
type taken struct {
	content string
	end     chan<- error
}

// oneByOne is an engine that sends its conversions and waits until the test ends them.
func oneByOne() (convertFunc, <-chan taken) {
	conversions := make(chan taken, 10)
	return func(ctx context.Context, request engine.Request) (engine.Output, error) {
		content, err := os.ReadFile(request.Source)
		if err != nil {
			return engine.Output{}, err
		}
		end := make(chan error, 1)
		conversions <- taken{string(content), end}
		select {
		case err := <-end:
			return engine.Output{Path: request.Source, Pages: 3}, err
		case <-ctx.Done():
			return engine.Output{}, ctx.Err()
		}
	}, conversions
}

// ended waits until that many jobs have succeeded.
func (b *bench) ended(jobs int) {
	b.t.Helper()
	for jobs > 0 {
		switch m := next(b.t, b.events).(type) {
		case *conversionv1.ConversionSucceeded:
			jobs--
		case *conversionv1.ConversionStarted:
		default:
			require.FailNow(b.t, "unexpected event", "%T: %v", m, m)
		}
	}
}

// TestStopReturnsWhatWaits checks that a converter that stops publishes the commands again that it has not started.
func TestStopReturnsWhatWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	convert, conversions := oneByOne()
	b.submit([]byte("1"), nil)
	b.submit([]byte("2"), nil)
	consumer := b.start(convert)
	first, second := next(t, conversions), next(t, conversions)
	waiting := b.resubmit([]byte("3"))
	b.handedOver(waiting)
	close(b.stopping)
	consumer.drain()
	again := b.take(message.Returned)
	require.Equal(t, waiting.GetJobId(), again.JobID)
	require.Equal(t, 2, again.Attempt)
	require.Zero(t, again.DeliveryCount)
	first.end <- nil
	second.end <- nil
	b.ended(2)
	b.settled(consumer)
}

// TestStopStartsNothing checks that a converter that stops starts no conversion, although it has a free slot.
func TestStopStartsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	convert, conversions := oneByOne()
	close(b.stopping)
	b.submit([]byte("1"), nil)
	consumer := b.start(convert)
	again := b.take(message.Returned)
	require.Equal(t, 1, again.Attempt)
	require.Zero(t, again.DeliveryCount)
	consumer.drain()
	b.settled(consumer)
	require.Empty(t, conversions)
}

// TestSuspectIsConvertedAlone checks that a command that was lost twice shares the converter with no other, of either queue.
func TestSuspectIsConvertedAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	convert, conversions := oneByOne()
	b.submit([]byte("innocent"), nil)
	consumer := b.start(convert)
	running := []taken{next(t, conversions)}
	b.handedOver(b.submit([]byte("suspect"), func(command *conversionv1.ConvertRequested) { command.Losses = 2 }))
	b.handedOver(b.resubmit([]byte("innocent")))
	b.handedOver(b.resubmit([]byte("innocent")))
	require.Empty(t, conversions, "one slot is free, and waits with the suspect for the other")
	for left := 3; left > 0; left-- {
		running[0].end <- nil
		now := next(t, conversions)
		running = append(running[1:], now)
		if now.content == "suspect" {
			require.Empty(t, conversions, "both slots belong to the suspect")
		}
	}
	running[0].end <- nil
	b.ended(4)
	b.settled(consumer)
}

// TestOneSuspectIsHeld checks that a converter leaves a second suspect to other converters instead of making it wait
// for the first one.
func TestOneSuspectIsHeld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	convert, conversions := oneByOne()
	suspect := func(command *conversionv1.ConvertRequested) { command.Losses = 2 }
	b.submit([]byte("1"), suspect)
	consumer := b.start(convert)
	first := next(t, conversions)
	second := b.submit([]byte("2"), suspect)
	b.handedOver(second)
	b.handedOver(second) // after the delay
	require.Empty(t, conversions)
	first.end <- nil
	next(t, conversions).end <- nil
	b.ended(2)
	b.settled(consumer)
}

// TestLostCommandIsSeparated checks that a command that was lost twice is not converted beside what is redelivered with it, and
// that its losses are kept when its deliveries are counted anew.
func TestLostCommandIsSeparated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	b.converterBroker.URL = link.Through(b.BrokerURL)
	convert, conversions := oneByOne()
	b.submit([]byte("a document"), nil)
	consumer := b.start(convert)
	for range 2 {
		next(t, conversions)
		expect[*conversionv1.ConversionStarted](b)
		link.Cut()
		link.Restore()
	}
	next(t, conversions).end <- nil // after the delay
	require.EqualValues(t, 3, expect[*conversionv1.ConversionStarted](b).GetAttempt())
	require.EqualValues(t, 3, expect[*conversionv1.ConversionSucceeded](b).GetAttempt())
	b.warned("the command was lost repeatedly; postponing it")
	b.settled(consumer)
}

// TestCommandIsNotLostForever checks that a document that kills every converter does not do so until its deadline.
func TestCommandIsNotLostForever(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	b.converterBroker.URL = link.Through(b.BrokerURL)
	convert, conversions := oneByOne()
	b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { command.Losses = 6 })
	consumer := b.start(convert)
	next(t, conversions)
	expect[*conversionv1.ConversionStarted](b)
	link.Cut()
	link.Restore()
	failed := expect[*conversionv1.ConversionFailed](b)
	require.Equal(t, string(problem.AttemptsExhausted), failed.GetFailure().GetCode())
	require.True(t, failed.GetFailure().GetRetryable())
	require.Contains(t, failed.GetFailure().GetDetail(), "7 times")
	b.settled(consumer)
}

// TestOutageForgetsLosses checks that the losses of a job that is retried because of the service do not add up.
func TestOutageForgetsLosses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { command.Losses = 6 })
	consumer := b.start(func(context.Context, engine.Request) (engine.Output, error) {
		return engine.Output{}, engine.ErrUnavailable
	})
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionRetried](b)
	b.settled(consumer)
	again, err := b.take(message.Returned).Message() // after the delay
	require.NoError(t, err)
	require.Zero(t, again.(*conversionv1.ConvertRequested).GetLosses())
}

// TestOldJobThatCannotStartFails checks that a job ends although no attempt at it was possible.
func TestOldJobThatCannotStartFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	full := b.disk()
	consumer := b.start(copies)
	b.submit([]byte("a document"), nil)
	b.ended(1)
	full.Store(true)
	b.submit([]byte("a document"), tooOld)
	require.Equal(t, string(problem.AttemptsExhausted), expect[*conversionv1.ConversionFailed](b).GetFailure().GetCode())
	b.settled(consumer)
}
