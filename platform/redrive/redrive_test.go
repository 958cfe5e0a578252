package redrive_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/redrive"
	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/platform/sqlitequeue"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestMain(m *testing.M) { testbench.Main(m) }

// patience is how long tests wait for an expected event. It is long because a machine that runs all tests at once is
// slow.
const patience = 2 * time.Minute

func rabbit(t *testing.T, bench *testbench.Bench, url string) message.Broker {
	t.Helper()
	broker, err := rabbitmq.New(rabbitmq.Config{
		URL: url, Username: bench.BrokerUsername, Password: config.NewSecret(bench.BrokerPassword),
	}, "test", zap.NewNop(), nil)
	require.NoError(t, err)
	return broker
}

// onEveryBroker runs a test on every implementation of message.Broker.
func onEveryBroker(t *testing.T, test func(t *testing.T, broker message.Broker)) {
	t.Helper()
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		bench := testbench.New(t)
		test(t, rabbit(t, bench, bench.BrokerURL))
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "docmill.db"), sqlite.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		queue, err := sqlitequeue.Open(t.Context(), db, sqlitequeue.Options{})
		require.NoError(t, err)
		test(t, queue.Broker("test", nil, nil))
	})
}

// TestRedrive dead-letters events, and moves back none, then some, then all of them.
func TestRedrive(t *testing.T) {
	t.Parallel()
	onEveryBroker(t, func(t *testing.T, broker message.Broker) {
		jobs := bury(t, broker, 100)
		out := run(t, broker, redrive.Settings{DryRun: true})
		require.Contains(t, out, "would move 100 of 100 messages from dead-events to events\n")
		for _, job := range jobs {
			require.Equal(t, 1, strings.Count(out, "ConversionStarted job="+job+" "), job)
		}
		require.Contains(t, out, "death=rejected")
		holds(t, broker, message.DeadEvents, 100)
		require.Contains(t, run(t, broker, redrive.Settings{DryRun: true, Limit: 5}), "would move 5 of 100 ")

		require.Contains(t, run(t, broker, redrive.Settings{Limit: 30}), "moved 30 of 100 ")
		holds(t, broker, message.DeadEvents, 70)
		require.Contains(t, run(t, broker, redrive.Settings{}), "moved 70 of 70 ")
		require.Equal(t, "moved 0 of 0 messages from dead-events to events\n", run(t, broker, redrive.Settings{}))
		holds(t, broker, message.DeadEvents, 0)
		holds(t, broker, message.Events, 100)
		require.ElementsMatch(t, jobs, take(t, broker, message.Events, 100))
	})
}

// TestPoisonIsMovedOnce has a consumer that dead-letters every event again while the events are moved.
func TestPoisonIsMovedOnce(t *testing.T) {
	t.Parallel()
	onEveryBroker(t, func(t *testing.T, broker message.Broker) {
		bury(t, broker, 50)
		start(t, broker, message.Events, func(*message.Delivery) message.Outcome { return message.DeadLetter })
		require.Contains(t, run(t, broker, redrive.Settings{}), "moved 50 of 50 ")
		holds(t, broker, message.DeadEvents, 50)
	})
}

// TestCommands moves dead commands back to the converters.
func TestCommands(t *testing.T) {
	t.Parallel()
	onEveryBroker(t, func(t *testing.T, broker message.Broker) {
		p := messagetest.Publisher(t, broker)
		require.NoError(t, p.Publish(t.Context(), message.Message{JobID: "job", Attempt: 3, Body: &conversionv1.ConvertRequested{JobId: "job"}}))
		stop := start(t, broker, message.Commands, func(*message.Delivery) message.Outcome { return message.DeadLetter })
		holds(t, broker, message.DeadCommands, 1)
		stop()
		require.Contains(t, run(t, broker, redrive.Settings{Commands: true}), "moved 1 of 1 messages from dead-commands to returned\n")
		returned := messagetest.Take(t, broker, message.Returned)
		require.Equal(t, "job", returned.JobID)
		require.Equal(t, 3, returned.Attempt)
		holds(t, broker, message.DeadCommands, 0)
	})
}

// TestInterruptedRedriveLosesNothing cuts the connections at random moments, and interrupts the command, until every
// event is moved.
func TestInterruptedRedriveLosesNothing(t *testing.T) {
	t.Parallel()
	const events = 300
	bench := testbench.New(t)
	broker := rabbit(t, bench, bench.BrokerURL)
	jobs := bury(t, broker, events)
	link := testbench.Proxy(t, bench.BrokerURL)
	through := rabbit(t, bench, link.Through(bench.BrokerURL))
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	interrupted := 0
	for range 6 {
		// All of it is about 150 KB sent to the broker.
		ctx, cancel := context.WithCancel(t.Context())
		if random.IntN(2) == 0 {
			link.CutAfter(6000 + random.Int64N(30_000)) // declaring the topology alone takes a few thousand bytes
		} else {
			time.AfterFunc(time.Duration(random.IntN(100))*time.Millisecond, cancel)
		}
		var out bytes.Buffer
		if err := (redrive.Settings{}).Run(ctx, through, &out); err != nil {
			interrupted++
		}
		cancel()
		link.Heal()
	}
	require.Positive(t, interrupted)
	require.Eventually(t, func() bool { // the last connection may still be open on the broker
		var out bytes.Buffer
		return (redrive.Settings{}).Run(t.Context(), broker, &out) == nil && strings.HasPrefix(out.String(), "moved 0 of 0 ")
	}, patience, time.Second)
	p, moved := messagetest.Publisher(t, broker), 0
	require.Eventually(t, func() bool {
		var err error
		moved, err = p.Depth(t.Context(), message.Events)
		return err == nil && moved >= events
	}, patience, 100*time.Millisecond)
	t.Logf("%d interruptions, %d events twice", interrupted, moved-events)
	found := map[string]bool{}
	for _, job := range take(t, broker, message.Events, moved) {
		found[job] = true
	}
	for _, job := range jobs {
		require.True(t, found[job], "%s is lost", job)
	}
}

// TestUnreachable requires that the error contains the cause, and that settings are validated.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.BrokerURL)
	link.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.Error(t, redrive.Settings{}.Run(ctx, rabbit(t, bench, link.Through(bench.BrokerURL)), &bytes.Buffer{}))
	require.ErrorContains(t, redrive.Settings{Limit: -1}.Validate(), "limit")
}

func run(t *testing.T, broker message.Broker, settings redrive.Settings) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, settings.Run(t.Context(), broker, &out))
	return out.String()
}

// bury publishes n events, dead-letters them, and returns their jobs.
func bury(t *testing.T, broker message.Broker, n int) []string {
	t.Helper()
	p := messagetest.Publisher(t, broker)
	jobs := make([]string, n)
	for i := range jobs {
		jobs[i] = fmt.Sprintf("job-%d", i)
		require.NoError(t, p.Publish(t.Context(), message.Message{JobID: jobs[i], Body: &conversionv1.ConversionStarted{
			JobId: jobs[i], Attempt: 1, StartedAt: timestamppb.Now(),
		}}))
	}
	stop := start(t, broker, message.Events, func(*message.Delivery) message.Outcome { return message.DeadLetter })
	holds(t, broker, message.DeadEvents, n)
	stop()
	return jobs
}

// start consumes a queue until the test ends or stop is called.
func start(t *testing.T, broker message.Broker, queue message.Queue, handle func(*message.Delivery) message.Outcome) (stop func()) {
	t.Helper()
	c, err := broker.NewConsumer(queue, message.Each{Concurrency: 16, Handle: func(_ context.Context, d *message.Delivery) message.Outcome {
		return handle(d)
	}}, message.ConsumerOptions{})
	require.NoError(t, err)
	drain, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- c.Run(context.Background(), func() {}, drain) }()
	stop = sync.OnceFunc(func() {
		close(drain)
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

// holds waits until a queue holds n messages.
func holds(t *testing.T, broker message.Broker, queue message.Queue, n int) {
	t.Helper()
	p := messagetest.Publisher(t, broker)
	require.Eventually(t, func() bool {
		depth, err := p.Depth(t.Context(), queue)
		return err == nil && depth == n
	}, patience, 20*time.Millisecond, "%s does not hold %d messages", queue, n)
}

// take takes n messages out of a queue and returns their jobs.
func take(t *testing.T, broker message.Broker, queue message.Queue, n int) []string {
	t.Helper()
	taken := messagetest.Receive(t, broker, queue)
	jobs := make([]string, n)
	for i := range jobs {
		select {
		case d := <-taken:
			jobs[i] = d.JobID
		case <-time.After(patience):
			require.FailNow(t, "no message arrived")
		}
	}
	return jobs
}
