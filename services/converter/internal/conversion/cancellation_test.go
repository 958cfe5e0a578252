package conversion_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// mark stores the marker of the cancellation of a job.
func (b *bench) mark(command *conversionv1.ConvertRequested, generation int32) {
	b.t.Helper()
	require.NoError(b.t, cancellation.Mark(b.t.Context(), b.store.Bucket(b.SourcesBucket), command.GetJobId(), generation))
}

// TestRunningJobIsCanceled cancels one of two jobs that run, by an announcement.
func TestRunningJobIsCanceled(t *testing.T) {
	t.Parallel()
	b, engine := setup(t), newByHand()
	canceled, other := b.submit([]byte("a document"), nil), b.submit([]byte("another"), nil)
	consumer := b.start(engine.convert)
	next(t, engine.calls)
	next(t, engine.calls)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionStarted](b)
	b.converter.Cancel(canceled.GetJobId(), 1) // of a later generation
	b.converter.Cancel(canceled.GetJobId(), 0)
	event := expect[*conversionv1.ConversionCanceled](b)
	require.Equal(t, canceled.GetJobId(), event.GetJobId())
	require.EqualValues(t, 1, event.GetAttempt())
	require.NotNil(t, event.GetStartedAt())
	b.converter.Cancel(canceled.GetJobId(), 0) // it is not held any more
	engine.answer <- nil
	require.Equal(t, other.GetJobId(), expect[*conversionv1.ConversionSucceeded](b).GetJobId())
	b.settled(consumer)
}

// TestMissedAnnouncementIsMadeUpFor cancels a running job only with the marker, as if the converter was not connected.
func TestMissedAnnouncementIsMadeUpFor(t *testing.T) {
	t.Parallel()
	b, engine := setup(t), newByHand()
	command := b.submit([]byte("a document"), nil)
	consumer := b.start(engine.convert)
	next(t, engine.calls)
	expect[*conversionv1.ConversionStarted](b)
	b.mark(command, 0)
	require.Equal(t, command.GetJobId(), expect[*conversionv1.ConversionCanceled](b).GetJobId())
	b.settled(consumer)
}

// TestCanceledJobDoesNotStart cancels jobs before a converter starts. The document of the second one was deleted, too.
func TestCanceledJobDoesNotStart(t *testing.T) {
	t.Parallel()
	b, engine := setup(t), newByHand()
	canceled := []*conversionv1.ConvertRequested{b.submit([]byte("a document"), nil), b.submit([]byte("another"), nil)}
	for _, command := range canceled {
		b.mark(command, 0)
	}
	require.NoError(t, b.store.Bucket(b.SourcesBucket).Delete(t.Context(), canceled[1].GetSource().GetObjectKey()))
	again := b.command([]byte("a third")) // its first generation was canceled
	again.Generation = 1
	b.storeSource(again, []byte("a third"))
	b.mark(again, 0)
	consumer := b.start(engine.convert)
	ended := map[string]bool{}
	for len(ended) < len(canceled) {
		switch event := next(t, b.events).(type) {
		case *conversionv1.ConversionCanceled:
			ended[event.GetJobId()] = true
		case *conversionv1.ConversionStarted:
		default:
			require.Fail(t, "unexpected event", "%T", event)
		}
	}
	for _, command := range canceled {
		require.True(t, ended[command.GetJobId()])
	}
	require.Empty(t, engine.calls)

	b.publish(message.Message{Body: again, JobID: again.GetJobId(), Attempt: 2, Returned: true})
	require.EqualValues(t, 1, expect[*conversionv1.ConversionStarted](b).GetGeneration())
	next(t, engine.calls)
	engine.answer <- nil
	require.EqualValues(t, 1, expect[*conversionv1.ConversionSucceeded](b).GetGeneration())
	b.settled(consumer)
}

// TestWaitingJobIsCanceled cancels a job that waits for a slot of the converter.
func TestWaitingJobIsCanceled(t *testing.T) {
	t.Parallel()
	b, engine := setup(t), newByHand()
	consumer := b.start(engine.convert)
	for range 2 {
		b.submit([]byte("a document"), nil)
		next(t, engine.calls)
		expect[*conversionv1.ConversionStarted](b)
	}
	waiting := b.resubmit([]byte("a third")) // the other queue has places for two more
	b.handedOver(waiting)
	for { // until the converter has registered it
		b.converter.Cancel(waiting.GetJobId(), 0)
		if len(b.events) > 0 {
			break
		}
	}
	event := expect[*conversionv1.ConversionCanceled](b)
	require.Equal(t, waiting.GetJobId(), event.GetJobId())
	require.Nil(t, event.GetStartedAt())
	engine.answer <- nil
	engine.answer <- nil
	expect[*conversionv1.ConversionSucceeded](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.settled(consumer)
}
