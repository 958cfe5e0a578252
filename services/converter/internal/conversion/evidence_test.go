package conversion_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

var errKilled = fmt.Errorf("draw a page: %w", sandbox.ErrKilled)

// fails returns an engine that fails for every document that is not innocent.
func fails(failure error) convertFunc {
	return func(ctx context.Context, request engine.Request) (engine.Output, error) {
		if content, err := os.ReadFile(request.Source); err != nil || string(content) != "innocent" {
			return engine.Output{}, failure
		}
		return copies(ctx, request)
	}
}

// uncertain changes a command to that of a job that has failed so often for uncertain reasons that it is converted in
// isolation. One more suspicion fails the job.
func uncertain(command *conversionv1.ConvertRequested) {
	command.Retries, command.UncertainFailures, command.Suspicions = 5, 2, 3
}

// TestUncertainFailuresLeadToIsolation checks that an uncertain failure does not count, and that the job is isolated after
// the second one.
func TestUncertainFailuresLeadToIsolation(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"killed": errKilled, "no space": engine.NoSpace(errEngine)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { command.UncertainFailures, command.Suspicions = 1, 3 })
			consumer := b.start(fails(failure))
			expect[*conversionv1.ConversionStarted](b)
			expect[*conversionv1.ConversionRetried](b)
			b.settled(consumer)
			again := b.take(message.Returned) // after the delay
			body, err := again.Message()
			require.NoError(t, err)
			require.EqualValues(t, 2, body.(*conversionv1.ConvertRequested).GetUncertainFailures())
			require.EqualValues(t, 3, body.(*conversionv1.ConvertRequested).GetSuspicions())

			convert, conversions := oneByOne()
			b.submit([]byte("innocent"), nil)
			consumer = b.start(convert)
			innocent := next(t, conversions)
			b.publish(message.Message{Body: body, JobID: again.JobID, Attempt: again.Attempt, Returned: true})
			for next(t, b.handed) != again.JobID {
			}
			require.Empty(t, conversions, "the suspect holds the free slot and waits for the other one")
			innocent.end <- nil
			next(t, conversions).end <- nil
			b.ended(2)
			b.settled(consumer)
		})
	}
}

// TestHostileJobFails checks that a job fails if its conversion is always killed, although other conversions succeed.
func TestHostileJobFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	consumer := b.start(fails(errKilled))
	b.submit([]byte("innocent"), nil)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.submit([]byte("hostile"), uncertain)
	expect[*conversionv1.ConversionStarted](b)
	failed := expect[*conversionv1.ConversionFailed](b)
	require.Equal(t, string(problem.AttemptsExhausted), failed.GetFailure().GetCode())
	require.True(t, failed.GetFailure().GetRetryable())
	b.settled(consumer)
}

// TestTroubleOfTheMachineFailsNoJob checks that failures in isolation do not count while this converter converts nothing else,
// even if there is only one job.
func TestTroubleOfTheMachineFailsNoJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	consumer := b.start(fails(errKilled))
	b.submit([]byte("innocent"), nil)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.submit([]byte("any document"), nil) // the trouble begins
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionRetried](b)
	for range 2 {
		b.submit([]byte("another document"), uncertain)
		expect[*conversionv1.ConversionStarted](b)
		expect[*conversionv1.ConversionRetried](b)
	}
	consumer.drain()
	require.NoError(t, next(t, consumer.done))
}
