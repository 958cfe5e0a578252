package conversion_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/conversion"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// TestStoreOutageKeepsTheResult cuts the store off when a document is converted: the same attempt stores the result as
// soon as the store is back.
func TestStoreOutageKeepsTheResult(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.StoreEndpoint)
	b.converterStore.Endpoint = link.Through(b.StoreEndpoint)
	hand := newByHand()
	b.submit([]byte("a document"), nil)
	consumer := b.start(hand.convert)
	next(t, hand.calls)
	link.Cut()
	hand.answer <- nil
	expect[*conversionv1.ConversionStarted](b)
	require.Equal(t, "cannot store the result; retrying", next(t, b.warnings))
	link.Restore()
	require.EqualValues(t, 1, expect[*conversionv1.ConversionSucceeded](b).GetAttempt())
	require.Empty(t, hand.calls, "it is not converted again")
	b.settled(consumer)
}

// TestLongStoreOutageFailsNoJob cuts the store off for longer than a converter waits, in an attempt after all delays of
// the schedule.
func TestLongStoreOutageFailsNoJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.transferTimeout = time.Second
	link := testbench.Proxy(t, b.StoreEndpoint)
	b.converterStore.Endpoint = link.Through(b.StoreEndpoint)
	link.Cut()
	delays := message.RetryDelays()
	b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { command.Retries = int32(len(delays)) })
	consumer := b.start(copies)
	expect[*conversionv1.ConversionStarted](b)
	retried := expect[*conversionv1.ConversionRetried](b)
	require.Equal(t, string(problem.StoreUnavailable), retried.GetFailure().GetCode())
	require.Equal(t, delays[len(delays)-1], retried.GetDelay().AsDuration(), "the last delay repeats")
	b.settled(consumer)
}

// TestStopDoesNotWaitForTheStore checks that a converter that stops returns its command while the store is down.
func TestStopDoesNotWaitForTheStore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.StoreEndpoint)
	b.converterStore.Endpoint = link.Through(b.StoreEndpoint)
	link.Cut()
	b.submit([]byte("a document"), nil)
	consumer := b.start(copies)
	expect[*conversionv1.ConversionStarted](b)
	require.Equal(t, "cannot fetch the document; retrying", next(t, b.warnings))
	close(b.stopping)
	consumer.drain()
	require.NoError(t, next(t, consumer.done))
	again := b.take(message.Returned)
	require.Equal(t, 1, again.Attempt)
	require.Zero(t, again.DeliveryCount)
}

// TestDocumentThatCausesPanicsFails checks that a document does not occupy converters until its deadline.
func TestDocumentThatCausesPanicsFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.submitLast([]byte("a hostile document"))
	consumer := b.start(func(context.Context, engine.Request) (engine.Output, error) { panic("index out of range") })
	expect[*conversionv1.ConversionStarted](b)
	failed := expect[*conversionv1.ConversionFailed](b)
	require.Equal(t, string(problem.AttemptsExhausted), failed.GetFailure().GetCode())
	require.True(t, failed.GetFailure().GetRetryable())
	b.settled(consumer)
}

// missing makes a command refer to a document that is not in the store. One more miss fails the job.
func missing(command *conversionv1.ConvertRequested) {
	command.Source.ObjectKey, command.Misses = "gone", 2
}

// TestMissingSourceIsConfirmed checks that a converter's view of the store counts once it has found a document there.
func TestMissingSourceIsConfirmed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	consumer := b.start(copies)
	b.submit([]byte("a document"), missing)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionRetried](b)
	b.submit([]byte("a document"), nil)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.submit([]byte("a document"), missing)
	expect[*conversionv1.ConversionStarted](b)
	require.Equal(t, string(problem.SourceMissing), expect[*conversionv1.ConversionFailed](b).GetFailure().GetCode())
	b.settled(consumer)
	again, err := b.take(message.Returned).Message() // the first one, after the delay
	require.NoError(t, err)
	require.EqualValues(t, 2, again.(*conversionv1.ConvertRequested).GetMisses(), "it did not count")
}

// TestConverterOfAnotherStoreFailsNoJob checks a converter that finds no document any longer, because the name of the store
// now refers to another one.
func TestConverterOfAnotherStoreFailsNoJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	consumer := b.start(copies)
	b.submit([]byte("a document"), nil)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	const jobs = 5
	for range jobs {
		b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { command.Source.ObjectKey = "gone" })
	}
	for retried := 0; retried < jobs; {
		if _, ok := next(t, b.events).(*conversionv1.ConversionRetried); ok {
			retried++
		}
	}
	b.settled(consumer)
	misses := 0
	for range jobs {
		again, err := b.take(message.Returned).Message()
		require.NoError(t, err)
		misses += int(again.(*conversionv1.ConvertRequested).GetMisses())
	}
	require.Equal(t, 2, misses, "only the first two count")
}

// TestBareNotFoundIsAnOutage checks that a proxy's answer for a service that it does not know is not one about a document.
func TestBareNotFoundIsAnOutage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := &atomic.Bool{}
	broken.Store(true)
	b.converterStore.Endpoint = b.frontend(func(w http.ResponseWriter) bool {
		if broken.Load() {
			http.Error(w, "404 page not found", http.StatusNotFound)
		}
		return broken.Load()
	})
	b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { command.Misses = 2 })
	consumer := b.start(copies)
	b.warned("cannot fetch the document; retrying")
	broken.Store(false)
	expect[*conversionv1.ConversionStarted](b)
	require.EqualValues(t, 1, expect[*conversionv1.ConversionSucceeded](b).GetAttempt())
	b.settled(consumer)
}

// breaking is an engine that fails while it is broken, and counts the attempts during that time. After a failure, the
// converter is not ready.
type breaking struct {
	broken   atomic.Bool
	attempts atomic.Int64
	// probes receives the failures of ready.
	probes chan struct{}
}

func newBreaking() *breaking {
	b := &breaking{probes: make(chan struct{}, 1000)}
	b.broken.Store(true)
	return b
}

func (b *breaking) ready(context.Context) error {
	if b.broken.Load() && b.attempts.Load() > 0 {
		b.probes <- struct{}{}
		return errEngine
	}
	return nil
}

func (b *breaking) convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	if b.broken.Load() {
		b.attempts.Add(1)
		return engine.Output{}, engine.ErrUnavailable
	}
	return copies(ctx, request)
}

// succeeded waits until that many jobs have succeeded, and skips other events.
func (b *bench) succeeded(jobs int) {
	b.t.Helper()
	for jobs > 0 {
		if _, ok := next(b.t, b.events).(*conversionv1.ConversionSucceeded); ok {
			jobs--
		}
	}
}

// TestSickConverterLeavesTheQueue checks that a converter that fails at everything leaves all commands to others, also those that
// it holds.
func TestSickConverterLeavesTheQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sick := newBreaking()
	b.ready = sick.ready
	const jobs, slots, sickAfter = 12, 2, 3
	for range jobs {
		b.submit([]byte("a document"), nil)
	}
	consumer := b.start(sick.convert)
	for range 3 {
		next(t, sick.probes)
	}
	require.LessOrEqual(t, len(b.handed), jobs, "its consumers are suspended")
	b.ready = func(context.Context) error { return nil }
	healthy := b.start(copies)
	b.succeeded(jobs)
	require.LessOrEqual(t, sick.attempts.Load(), int64(sickAfter+slots-1), "a slot may be in an attempt when the other fails for the third time")
	consumer.drain()
	require.NoError(t, next(t, consumer.done))
	b.settled(healthy)
}

// TestSickConverterRecovers checks that a sick converter takes commands again when its checks succeed.
func TestSickConverterRecovers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sick := newBreaking()
	b.ready = sick.ready
	const jobs = 12
	for range jobs {
		b.submit([]byte("a document"), nil)
	}
	consumer := b.start(sick.convert)
	next(t, sick.probes)
	sick.broken.Store(false)
	b.succeeded(jobs)
	b.settled(consumer)
}

// readyAtFirst makes the checks of a converter fail once it has made an attempt.
func (b *bench) readyAtFirst(convert convertFunc) convertFunc {
	attempted := &atomic.Bool{}
	b.ready = func(context.Context) error {
		if attempted.Load() {
			return errEngine
		}
		return nil
	}
	return func(ctx context.Context, request engine.Request) (engine.Output, error) {
		attempted.Store(true)
		return convert(ctx, request)
	}
}

// TestDocumentsMakeNoConverterSick checks that failures that documents may have caused do not stop a converter.
func TestDocumentsMakeNoConverterSick(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const hostile = 8
	for range hostile {
		b.submit([]byte("a hostile document"), nil)
	}
	innocent := b.submit([]byte("innocent"), nil)
	consumer := b.start(b.readyAtFirst(fails(errEngine)))
	for retried := 0; ; {
		switch m := next(t, b.events).(type) {
		case *conversionv1.ConversionRetried:
			retried++
		case *conversionv1.ConversionSucceeded:
			require.Equal(t, innocent.GetJobId(), m.GetJobId())
			require.GreaterOrEqual(t, retried, hostile-1)
			b.settled(consumer)
			return
		}
	}
}

// TestReturnsDoNotKillACommand has a broker that confirms no returned command. It must take longer than minutes until the
// delivery limit is reached, but the converter must not keep the place of a delivery for long after a short outage.
func TestReturnsDoNotKillACommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliveryTimeout = 48 * time.Second
	b.wrap = func(p conversion.Publisher) conversion.Publisher { return deaf{p} }
	command := b.submit([]byte("a document"), nil)
	b.start(func(context.Context, engine.Request) (engine.Output, error) { return engine.Output{}, errEngine })
	b.handedOver(command)
	b.handedOver(command)
	for _, hold := range []time.Duration{8 * time.Second, 16 * time.Second} {
		b.warned("cannot complete a delivery; holding it before it is returned to the queue")
		held := time.Now()
		b.handedOver(command)
		require.Greater(t, time.Since(held), hold-time.Second)
		require.Less(t, time.Since(held), hold+b.deliveryTimeout/2)
	}
}

// deaf hears no confirmations of commands.
type deaf struct{ conversion.Publisher }

func (d deaf) Publish(ctx context.Context, m message.Message) error {
	if _, command := m.Body.(*conversionv1.ConvertRequested); command {
		return &message.PublishError{Message: m.String(), Kind: message.ErrUnconfirmed}
	}
	return d.Publisher.Publish(ctx, m)
}

// tooOld makes the job of a command so old that the status service has failed it.
func tooOld(command *conversionv1.ConvertRequested) {
	command.RequestedAt = timestamppb.New(time.Now().Add(-25 * time.Hour))
}

// TestOldJobIsNotRetried checks that the command of a job that the status service has failed does not go on forever.
func TestOldJobIsNotRetried(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"retried": engine.ErrUnavailable, "postponed": engine.NoSpace(errEngine)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			full := b.disk()
			b.submit([]byte("a document"), tooOld)
			consumer := b.start(func(context.Context, engine.Request) (engine.Output, error) {
				full.Store(errors.Is(failure, engine.ErrNoSpace))
				return engine.Output{}, failure
			})
			expect[*conversionv1.ConversionStarted](b)
			failed := expect[*conversionv1.ConversionFailed](b)
			require.Equal(t, string(problem.AttemptsExhausted), failed.GetFailure().GetCode())
			b.settled(consumer)
		})
	}
}

// TestExpiredCommandIsNotConverted: its job has failed already, and its document need not even be there.
func TestExpiredCommandIsNotConverted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	expire := func(after time.Duration) func(*conversionv1.ConvertRequested) {
		return func(command *conversionv1.ConvertRequested) {
			command.RequestedAt = timestamppb.New(time.Now().Add(-time.Hour))
			command.ExpiresAt = timestamppb.New(command.GetRequestedAt().AsTime().Add(after))
		}
	}
	expired := b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) {
		expire(time.Minute)(command)
		command.Source.ObjectKey = "gone"
	})
	consumer := b.start(copies)
	failed := expect[*conversionv1.ConversionFailed](b)
	require.Equal(t, expired.GetJobId(), failed.GetJobId())
	require.Equal(t, string(problem.AttemptsExhausted), failed.GetFailure().GetCode())
	require.Contains(t, failed.GetFailure().GetDetail(), "within 1m0s")
	require.True(t, failed.GetFailure().GetRetryable())

	b.submit([]byte("a document"), expire(2*time.Hour))
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.settled(consumer)
}

// TestWrongClockExpiresNothing has a store that rejects requests, as a store does if the clock of the converter is wrong. To
// such a converter, every job may seem expired.
func TestWrongClockExpiresNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *bench, command *conversionv1.ConvertRequested){
		"expired": func(_ *bench, command *conversionv1.ConvertRequested) {
			command.ExpiresAt = timestamppb.New(time.Now().Add(-time.Minute))
		},
		"unsupported": func(b *bench, command *conversionv1.ConvertRequested) {
			b.formats = nil
			command.ExpiresAt = timestamppb.New(time.Now().Add(time.Second))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			rejecting := &atomic.Bool{}
			rejecting.Store(true)
			b.converterStore.Endpoint = b.frontend(func(w http.ResponseWriter) bool {
				if rejecting.Load() {
					http.Error(w, "RequestTimeTooSkewed", http.StatusForbidden)
				}
				return rejecting.Load()
			})
			b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) { change(b, command) })
			consumer := b.start(copies)
			b.warned("postponing the end of an expired job: cannot compare the clock with that of the store")
			rejecting.Store(false)
			expect[*conversionv1.ConversionFailed](b) // after the delay
			b.settled(consumer)
		})
	}
}

// TestDeadlinesResume: time in which the only process was stopped does not count.
func TestDeadlinesResume(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.resumedAt = time.Now()
	b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) {
		command.RequestedAt = timestamppb.New(time.Now().Add(-72 * time.Hour))
		command.ExpiresAt = timestamppb.New(time.Now().Add(-48 * time.Hour))
	})
	consumer := b.start(copies)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.settled(consumer)
}

// unconfirmed is a broker that takes commands and does not confirm them.
type unconfirmed struct {
	conversion.Publisher
	commands *atomic.Int64
}

func (u unconfirmed) Publish(ctx context.Context, m message.Message) error {
	err := u.Publisher.Publish(ctx, m)
	if _, command := m.Body.(*conversionv1.ConvertRequested); command && u.commands.Add(1) == 1 {
		return &message.PublishError{Message: m.String(), Kind: message.ErrUnconfirmed}
	}
	return err
}

// TestCommandIsCopiedOnce checks that a retry whose confirmation is lost makes one copy of its command, and not one with
// each try to publish it.
func TestCommandIsCopiedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	commands := &atomic.Int64{}
	b.wrap = func(p conversion.Publisher) conversion.Publisher { return unconfirmed{p, commands} }
	fail := &atomic.Bool{}
	fail.Store(true)
	b.submit([]byte("a document"), nil)
	consumer := b.start(func(ctx context.Context, request engine.Request) (engine.Output, error) {
		if fail.Swap(false) {
			return engine.Output{}, errEngine
		}
		return copies(ctx, request)
	})
	require.EqualValues(t, 1, expect[*conversionv1.ConversionStarted](b).GetAttempt())
	for range 2 { // the command that was returned to its queue, and its copy after the delay
		expect[*conversionv1.ConversionStarted](b)
		require.EqualValues(t, 2, expect[*conversionv1.ConversionSucceeded](b).GetAttempt())
	}
	require.EqualValues(t, 1, commands.Load())
	b.settled(consumer)
}

// TestOutcomeHasADeadline cuts the publisher off when a document is converted: the command is returned before RabbitMQ
// would take it back, and with it those of all other slots.
func TestOutcomeHasADeadline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliveryTimeout = 10 * time.Second
	link := testbench.Proxy(t, b.BrokerURL)
	b.publisherBroker.URL = link.Through(b.BrokerURL)
	hand := newByHand()
	b.submit([]byte("a document"), nil)
	consumer := b.start(hand.convert)
	next(t, hand.calls)
	link.Cut()
	hand.answer <- nil
	b.warned("attempt abandoned; returning its command to the queue")
	link.Restore()
	next(t, hand.calls)
	hand.answer <- nil
	for {
		if m, ok := next(t, b.events).(*conversionv1.ConversionSucceeded); ok {
			require.Greater(t, m.GetAttempt(), int32(1))
			break
		}
	}
	b.settled(consumer)
}

// TestNoAttemptWithoutAPublisher checks that nothing is converted while its outcome could not be published.
func TestNoAttemptWithoutAPublisher(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := testbench.Proxy(t, b.BrokerURL)
	b.publisherBroker.URL = link.Through(b.BrokerURL)
	hand := newByHand()
	consumer := b.start(hand.convert)
	link.Cut()
	b.warned("no connection to the message broker; retrying")
	b.submit([]byte("a document"), nil)
	b.warned("waiting until events can be published")
	require.Empty(t, hand.calls)
	link.Restore()
	next(t, hand.calls)
	hand.answer <- nil
	require.EqualValues(t, 1, expect[*conversionv1.ConversionStarted](b).GetAttempt())
	require.EqualValues(t, 1, expect[*conversionv1.ConversionSucceeded](b).GetAttempt())
	b.settled(consumer)
}
