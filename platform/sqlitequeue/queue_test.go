package sqlitequeue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/platform/sqlitequeue"
)

const (
	waitFor = time.Minute
	calmFor = 2 * time.Second
)

// fixture is a broker with a publisher that runs until the test ends.
type fixture struct {
	testing.TB

	broker    *sqlitequeue.Broker
	publisher message.Publisher
}

func newFixture(t testing.TB, h *harness) *fixture {
	t.Helper()
	f := &fixture{TB: t, broker: h.queue.Broker("test", zap.NewNop(), nil)}
	f.publisher = f.startPublisher(message.PublisherOptions{})
	return f
}

func (f *fixture) startPublisher(options message.PublisherOptions) message.Publisher {
	f.Helper()
	p, err := f.broker.NewPublisher(options)
	require.NoError(f, err)
	f.start(p)
	return p
}

// start runs a Publisher or Consumer until the test ends or stop is called.
func (f *fixture) start(r message.Runner) (stop func()) {
	f.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	drain, done, ready := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() { done <- r.Run(ctx, func() { close(ready) }, drain) }()
	<-ready
	stop = sync.OnceFunc(func() {
		close(drain)
		require.NoError(f, <-done)
		cancel()
	})
	f.Cleanup(stop)
	return stop
}

func (f *fixture) consume(queue message.Queue, handler message.Handler) (stop func()) {
	f.Helper()
	c, err := f.broker.NewConsumer(queue, handler, message.ConsumerOptions{})
	require.NoError(f, err)
	return f.start(c)
}

func (f *fixture) publish(messages ...message.Message) {
	f.Helper()
	for _, m := range messages {
		require.NoError(f, f.publisher.Publish(f.Context(), m))
	}
}

// take takes n messages out of a queue.
func (f *fixture) take(queue message.Queue, n int) []*message.Delivery {
	f.Helper()
	taken := make(chan *message.Delivery)
	stop := f.consume(queue, message.Batches{Max: 1, Handle: func(ctx context.Context, batch []*message.Delivery) error {
		select {
		case taken <- batch[0]:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	var all []*message.Delivery
	for range n {
		all = append(all, <-taken)
	}
	stop()
	return all
}

// takeUntil takes the messages of a queue up to that of a job, and returns their jobs.
func (f *fixture) takeUntil(queue message.Queue, last string) []string {
	f.Helper()
	var jobs []string
	done := make(chan struct{})
	stop := f.consume(queue, message.Batches{Max: 100, Handle: func(_ context.Context, batch []*message.Delivery) error {
		for _, d := range batch {
			if d.JobID == last {
				close(done)
				return nil
			}
			jobs = append(jobs, d.JobID)
		}
		return nil
	}})
	<-done
	stop()
	return jobs
}

func TestNewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	newer := fstest.MapFS{}
	for i := range 9 {
		newer[fmt.Sprintf("%03d_step.sql", i+1)] = &fstest.MapFile{Data: []byte("SELECT 1;")}
	}
	require.NoError(t, h.db.Migrate(t.Context(), "messages", newer))
	_, err := sqlitequeue.Open(t.Context(), h.db, sqlitequeue.Options{})
	require.ErrorIs(t, err, sqlite.ErrNewerVersion)
	require.ErrorContains(t, err, h.path)
}

// TestDelayedCommandsOfVersion1 checks that commands that an earlier version has delayed are delivered.
func TestDelayedCommandsOfVersion1(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	f := newFixture(t, h)
	delayed := command("delayed")
	delayed.Returned, delayed.Delay = true, message.RetryDelays()[0]
	f.publish(delayed)
	require.NoError(t, h.db.Write(t.Context(), sqlite.Durable, func(ctx context.Context, tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE messages SET queue = 1")
		require.NoError(t, err)
		_, err = tx.ExecContext(ctx, "UPDATE schema_versions SET version = 1 WHERE component = 'messages'")
		return err
	}))
	require.NoError(t, h.db.Close())
	h.open(t)
	require.Equal(t, "delayed", newFixture(t, h).take(message.Returned, 1)[0].JobID)
}

// TestDelaysSurviveRestart publishes two delayed commands. One is due while the database is closed.
func TestDelaysSurviveRestart(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	f := newFixture(t, h)
	short, long := command("short"), command("long")
	short.Returned, long.Returned = true, true
	short.Delay, long.Delay = message.RetryDelays()[0], message.RetryDelays()[1] // 100 and 600 ms
	f.publish(short, long)
	require.NoError(t, h.db.Close())
	h.open(t)
	deliveries := newFixture(t, h).take(message.Returned, 2)
	require.Equal(t, "short", deliveries[0].JobID)
	require.Equal(t, "long", deliveries[1].JobID)
}

// TestDeadEventIsKept dead-letters an event, which only consumers of the dead events receive from then on, even after a restart.
// Events that earlier versions dead-lettered are moved to the dead events.
func TestDeadEventIsKept(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	f := newFixture(t, h)
	f.publish(progress("bad"))
	done := make(chan struct{})
	stop := f.consume(message.Events, message.Each{Handle: func(context.Context, *message.Delivery) message.Outcome {
		close(done)
		return message.DeadLetter
	}})
	<-done
	stop()
	older := []string{
		"UPDATE messages SET queue = 2, state = 3 WHERE queue = 6",
		"UPDATE schema_versions SET version = 2 WHERE component = 'messages'",
	}
	for _, statements := range [][]string{nil, older} {
		require.NoError(t, h.db.Write(t.Context(), sqlite.Durable, func(ctx context.Context, tx *sqlite.Tx) error {
			for _, statement := range statements {
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		}))
		require.NoError(t, h.db.Close())
		h.open(t)
		f = newFixture(t, h)
		f.publish(progress("good"))
		require.Equal(t, "good", f.take(message.Events, 1)[0].JobID)
	}
	dead := f.take(message.DeadEvents, 1)[0]
	require.Equal(t, message.Rejected, dead.Death)
	require.Equal(t, "bad", dead.JobID)
}

// TestFullDisk fills the disk by publishing, and then makes space: by enlarging a tmpfs, or by acknowledging.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir, options, limited := t.TempDir(), sqlite.Options{}, "tmpfs"
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=8m"); err == nil {
		t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	} else {
		limited, options.MaxPages = "max_page_count", 500
	}
	t.Log("limited by", limited)
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "docmill.db"), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	queue, err := sqlitequeue.Open(t.Context(), db, sqlitequeue.Options{})
	require.NoError(t, err)
	f := newFixture(t, &harness{db: db, queue: queue})
	impatient := f.startPublisher(message.PublisherOptions{Wait: time.Nanosecond})

	stored := 0
	for ; ; stored++ {
		require.Less(t, stored, 50_000, "it is never full")
		if err = impatient.Publish(t.Context(), command(fmt.Sprint(stored))); err != nil {
			break
		}
	}
	t.Log(stored, "commands stored")
	require.ErrorIs(t, err, message.ErrBlocked)
	require.ErrorIs(t, err, sqlite.ErrFull)
	require.True(t, message.NotEnqueued(err))
	if limited == "tmpfs" { // with the other, a write that needs no new page may have succeeded since
		require.ErrorIs(t, impatient.Check(t.Context()), message.ErrBlocked)
	}

	patient := make(chan error, 1) // it tries until there is space
	go func() {
		err := message.ErrBlocked
		for errors.Is(err, message.ErrBlocked) {
			time.Sleep(time.Millisecond)
			err = impatient.Publish(t.Context(), command("patient"))
		}
		patient <- err
	}()
	if limited == "tmpfs" { // nothing can be written: neither claims nor the log's pages into the database
		require.NoError(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
	}
	jobs := f.takeUntil(message.Commands, "patient")
	require.Len(t, jobs, stored)
	require.NoError(t, <-patient)
	require.NoError(t, impatient.Check(t.Context()))
	require.NoError(t, db.IntegrityCheck(t.Context()))
	require.Len(t, f.takeUntil(message.Events, "patient"), stored, "what was rejected is not in the other queue")
}

// TestFilesStaySmall lets a backlog arise and go away, and then publishes and consumes steadily.
func TestFilesStaySmall(t *testing.T) {
	t.Parallel()
	const backlog, steady = 5_000, 20_000
	h := newHarness(t)
	f := newFixture(t, h)
	size := func(suffix string) int64 {
		info, err := os.Stat(h.path + suffix)
		require.NoError(t, err)
		return info.Size()
	}
	publish := func(from, to int) {
		var all sync.WaitGroup
		work := make(chan string)
		for range 16 {
			all.Go(func() {
				for job := range work {
					if err := f.publisher.Publish(t.Context(), progress(job)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := from; i < to; i++ {
			work <- fmt.Sprint(i)
		}
		close(work)
		all.Wait()
	}
	publish(0, backlog)
	before := size("")
	handled, done := 0, make(chan struct{})
	f.consume(message.Events, message.Batches{Max: 50, Handle: func(_ context.Context, batch []*message.Delivery) error {
		if handled += len(batch); handled == backlog+steady {
			close(done)
		}
		return nil
	}})
	publish(backlog, backlog+steady)
	<-done
	t.Logf("%d bytes with %d messages, %d bytes after %d further ones; log %d", before, backlog, size(""), steady, size("-wal"))
	require.Less(t, size(""), int64(3<<20))
	require.Less(t, size("-wal"), int64(24<<20))
}

// TestMetrics counts what package rabbitmq counts, under the same names.
func TestMetrics(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	registry := prometheus.NewRegistry()
	f := &fixture{TB: t, broker: h.queue.Broker("test", zaptest.NewLogger(t), registry)}
	f.publisher = f.startPublisher(message.PublisherOptions{})
	f.publish(progress("job"))
	f.take(message.Events, 1)
	families, err := registry.Gather()
	require.NoError(t, err)
	var names []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			names = append(names, family.GetName()+" "+m.GetLabel()[0].GetValue())
		}
	}
	require.Subset(t, names, []string{
		"docmill_broker_connected publisher", "docmill_broker_publish_duration_seconds publisher",
		"docmill_broker_deliveries_total events", "docmill_broker_handling_duration_seconds events",
		"docmill_broker_batch_deliveries events",
	})
}
