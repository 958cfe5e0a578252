package sqlitequeue_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/platform/sqlitequeue"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func openBroker(path string) message.Broker {
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	must(err)
	queue, err := sqlitequeue.Open(context.Background(), db, sqlitequeue.Options{})
	must(err)
	return queue.Broker("child", zap.NewNop(), nil)
}

// run runs a Publisher or Consumer for as long as the process lives.
func run(r message.Runner, err error) {
	must(err)
	go func() { must(r.Run(context.Background(), func() {}, nil)) }()
}

// work publishes and consumes until it is killed. It prints "published <job>" when Publish has returned, "command
// <job>" and "events <job> ..." when their handlers begin.
func work(path string) {
	const publishers = 4
	out := &printer{out: os.Stdout}
	broker := openBroker(path)
	publisher, err := broker.NewPublisher(message.PublisherOptions{})
	run(publisher, err)
	commands := func(_ context.Context, d *message.Delivery) message.Outcome {
		out.linef("command %s", d.JobID)
		return message.Ack
	}
	events := func(_ context.Context, batch []*message.Delivery) error {
		var jobs []string
		for _, d := range batch {
			jobs = append(jobs, d.JobID)
		}
		out.linef("events %s", strings.Join(jobs, " "))
		return nil
	}
	run(broker.NewConsumer(message.Commands, message.Each{Concurrency: 1, Handle: commands}, message.ConsumerOptions{}))
	run(broker.NewConsumer(message.Events, message.Batches{Max: 16, Handle: events}, message.ConsumerOptions{}))
	for p := range publishers {
		go func() {
			for i := 0; ; i++ {
				job := fmt.Sprintf("%d-%d-%d", os.Getpid(), p, i)
				must(publisher.Publish(context.Background(), command(job)))
				out.linef("published %s", job)
			}
		}()
	}
	select {}
}

// hang claims one command, prints its number of deliveries, and never returns.
func hang(path string) {
	handle := func(_ context.Context, d *message.Delivery) message.Outcome {
		fmt.Println(d.JobID, d.DeliveryCount)
		select {}
	}
	run(openBroker(path).NewConsumer(message.Commands, message.Each{Concurrency: 1, Handle: handle}, message.ConsumerOptions{}))
	select {}
}

// idle has one of everything and nothing to do.
func idle(path string) {
	broker := openBroker(path)
	publisher, err := broker.NewPublisher(message.PublisherOptions{})
	run(publisher, err)
	nothing := message.Each{Concurrency: 4, Handle: func(context.Context, *message.Delivery) message.Outcome { return message.Ack }}
	for _, queue := range []message.Queue{message.Commands, message.Events, message.DeadCommands, message.Announcements} {
		run(broker.NewConsumer(queue, nothing, message.ConsumerOptions{}))
	}
	fmt.Println("ready")
	select {}
}

// ledger is what became of the messages of one queue.
type ledger struct {
	handled map[string]bool
	// acknowledged is what is certain to be acknowledged, because the same worker has handled something after it.
	acknowledged map[string]bool
	last         []string
}

func newLedger() *ledger { return &ledger{handled: map[string]bool{}, acknowledged: map[string]bool{}} }

func (l *ledger) handle(t testing.TB, jobs []string) {
	t.Helper()
	for _, job := range l.last {
		l.acknowledged[job] = true
	}
	for _, job := range jobs {
		require.False(t, l.acknowledged[job], "%s was acknowledged and came again", job)
		l.handled[job] = true
	}
	l.last = jobs
}

// TestKill kills a process 20 times while it publishes and consumes. What was published is handled, and what was
// acknowledged does not come again.
func TestKill(t *testing.T) {
	t.Parallel()
	const rounds = 20
	path := filepath.Join(t.TempDir(), "docmill.db")
	published := map[string]bool{}
	commands, events := newLedger(), newLedger()
	for range rounds {
		commands.last, events.last = nil, nil // their outcome is unknown
		for _, line := range startChild(t, "work", path).killAfter(t, between(1, 500)) {
			what, rest, _ := strings.Cut(line, " ")
			switch what {
			case "published":
				published[rest] = true
			case "command":
				commands.handle(t, []string{rest})
			case "events":
				events.handle(t, strings.Fields(rest))
			}
		}
	}
	h := &harness{path: path}
	h.open(t)
	t.Cleanup(func() { require.NoError(t, h.db.Close()) })
	require.NoError(t, h.db.IntegrityCheck(t.Context()))
	f := newFixture(t, h)
	commands.last, events.last = nil, nil
	const end = "the end"
	f.publish(command(end))
	commands.handle(t, f.takeUntil(message.Commands, end))
	events.handle(t, f.takeUntil(message.Events, end))
	t.Logf("%d published, %d commands and %d events handled, %d and %d of them in the end",
		len(published), len(commands.handled), len(events.handled), len(commands.last), len(events.last))
	for job := range published {
		require.True(t, commands.handled[job], "the command of %s is lost", job)
		require.True(t, events.handled[job], "the event of %s is lost", job)
	}
}

// TestKilledDeliveriesAreCounted kills the process that has claimed a command, until the command is given up. The
// command behind it is not affected.
func TestKilledDeliveriesAreCounted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	newFixture(t, h).publish(command("killer"), command("innocent"))
	require.NoError(t, h.db.Close())
	for i := range sqlitequeue.CrashLimit + 1 {
		lines := startChild(t, "hang", h.path).killAfter(t, 1)
		require.Equal(t, "killer 0", lines[0], "death %d is not a delivery", i+1)
	}
	h.open(t)
	f := newFixture(t, h)
	dead := f.take(message.DeadCommands, 1)[0]
	require.Equal(t, "killer", dead.JobID)
	require.Equal(t, message.DeliveryLimit, dead.Death)
	alive := f.take(message.Commands, 1)[0]
	require.Equal(t, "innocent", alive.JobID)
	require.Zero(t, alive.DeliveryCount)
}

// TestIdle requires that a process with nothing to do does nothing.
func TestIdle(t *testing.T) {
	t.Parallel()
	c := startChild(t, "idle", filepath.Join(t.TempDir(), "docmill.db"))
	require.True(t, c.lines.Scan())
	defer func() {
		require.NoError(t, c.command.Process.Kill())
		_ = c.command.Wait()
	}()
	switches := func() (lines []string) {
		status, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.command.Process.Pid))
		require.NoError(t, err)
		for _, name := range status {
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			for line := range strings.Lines(string(content)) {
				if strings.HasPrefix(line, "voluntary_ctxt_switches") {
					lines = append(lines, name+" "+line)
				}
			}
		}
		return lines
	}
	// The runtime needs some time after the start until all threads sleep. Then no thread wakes for as long as it is
	// watched.
	var calm []string
	require.Eventually(t, func() bool {
		before := calm
		calm = switches()
		return slices.Equal(before, calm)
	}, waitFor, calmFor)
}
