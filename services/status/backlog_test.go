package status_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/devstack/testbench"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/deadline"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// execute changes the database behind the service's back.
func execute(t *testing.T, bench *testbench.Bench, statement string) {
	t.Helper()
	settings, err := pgx.ParseConfig(bench.DatabaseURL)
	require.NoError(t, err)
	settings.Password = bench.DatabasePassword
	settings.RuntimeParams["default_transaction_read_only"] = "off"
	connection, err := pgx.ConnectConfig(t.Context(), settings)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	_, err = connection.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// TestBacklogIsNotFoundOnlyWhenApplied polls new jobs from the moment at which the service starts with a backlog: they are
// unknown for a while, but never not found.
func TestBacklogIsNotFoundOnlyWhenApplied(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	p, ids := publisher(t, bench), make([]string, 40)
	channel(t, bench) // declares the queues
	for i := range ids {
		ids[i] = newID(t)
		send(t, p, append([]proto.Message{submitted(ids[i])}, life(ids[i])...)...)
	}
	r := start(t, bench, patience, "--batch-size=1")
	var polling sync.WaitGroup
	for _, id := range ids {
		polling.Go(func() {
			for {
				got := get(t, r.url+jobapi.Path(id))
				switch got.StatusCode {
				case http.StatusOK:
					return
				case http.StatusServiceUnavailable:
					if got.Header.Get("Retry-After") == "" {
						t.Errorf("no Retry-After")
					}
				default:
					t.Errorf("the poll of an accepted job was answered with %d", got.StatusCode)
					return
				}
			}
		})
	}
	polling.Wait()
	requireAllSucceeded(t, r, ids)
	require.Equal(t, http.StatusServiceUnavailable, get(t, r.url+jobapi.Path(newID(t))).StatusCode)
	require.Equal(t, http.StatusNotFound, get(t, r.url+jobapi.Path("00000000-0000-4000-8000-000000000000")).StatusCode)

	// Later, when the mark behind the backlog has been applied.
	require.Eventually(t, func() bool {
		return r.counted(t, `docmill_status_events_total{event="status.marked",outcome="applied"}`)
	}, patience, poll)
	old := "01981c7e-0000-7000-8000-000000000001"
	require.Equal(t, http.StatusNotFound, get(t, r.url+jobapi.Path(old)).StatusCode)
}

// TestSweepDoesNotOvertakeTheBacklog leaves the success of an old job in the queue while the service is down for longer than
// the deadline.
func TestSweepDoesNotOvertakeTheBacklog(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	p, old, overdue, oldest := publisher(t, bench), newID(t), newID(t), newID(t)
	first := start(t, bench, patience).ready(t)
	send(t, p, submitted(old), submitted(overdue), submitted(oldest))
	for _, id := range []string{old, overdue, oldest} {
		require.Eventually(t, func() bool { _, found := first.job(t, id); return found }, patience, poll)
	}
	first.stop()
	execute(t, bench, "UPDATE jobs SET first_seen_at = first_seen_at - interval '2 days'")
	execute(t, bench, "UPDATE jobs SET first_seen_at = first_seen_at - interval '2 days' WHERE id = '"+oldest+"'")
	execute(t, bench, "UPDATE watermark SET applied_until = now() - interval '2 days'")
	for range 20 { // the backlog
		id := newID(t)
		send(t, p, append([]proto.Message{submitted(id)}, life(id)...)...)
	}
	send(t, p, life(old)...)

	store := postgrestest.Open(t, postgrestest.Config(bench))
	keep := job.Retention{Files: time.Hour, Source: time.Hour, Tombstone: time.Hour} // otherwise the second service removes the jobs
	sweep := &deadline.Sweep{Deadline: 24 * time.Hour, Every: time.Millisecond, Store: store, Clock: clock.New(store, zap.NewNop()), Retention: keep, Log: zap.NewNop()}
	storetest.Run(t, sweep.Run)
	failed := func(id string) bool {
		found, err := store.Job(t.Context(), uuid.MustParse(id))
		require.NoError(t, err)
		return found.Status == job.Failed
	}
	require.Eventually(t, func() bool { return failed(oldest) }, patience, poll, "it was overdue before the outage")
	require.False(t, failed(overdue), "its end may be in the queue")
	second := start(t, bench, patience, "--batch-size=1").ready(t)
	require.Eventually(t, func() bool { return failed(overdue) }, patience, poll, "its end was not in the queue")
	require.Equal(t, jobapi.Succeeded, second.ended(t, old).Status)
}

// TestProgressOfAnOutageIsDropped publishes the progress of a long conversion while the database cannot be reached. Only
// the newest is kept, and not in the queue of the other events, which are all applied later.
func TestProgressOfAnOutageIsDropped(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.DatabaseURL)
	bench.DatabaseURL = link.Through(bench.DatabaseURL)
	r := start(t, bench, patience).ready(t)
	p, id := publisher(t, bench), newID(t)
	send(t, p, submitted(id))
	require.Eventually(t, func() bool { _, found := r.job(t, id); return found }, patience, poll)

	link.Cut()
	events := life(id)
	send(t, p, events[0])
	const reports = 3 * message.MaxProgress // published in 12 minutes
	var publishing sync.WaitGroup
	for i := range reports {
		publishing.Go(func() {
			send(t, p, &conversionv1.ConversionProgressed{
				JobId: id, Attempt: 1, Phase: conversionv1.Phase_PHASE_CONVERTING, Percent: int32(i * 100 / reports), ProgressedAt: timestamppb.Now(),
			})
		})
	}
	publishing.Wait()
	send(t, p, events[len(events)-1])
	depth := func(queue message.Queue) int {
		n, err := p.Depth(t.Context(), queue)
		require.NoError(t, err)
		return n
	}
	require.Less(t, depth(message.Events), 100, "it holds the start, the end and some marks")
	require.LessOrEqual(t, depth(message.Progress), message.MaxProgress)

	link.Restore()
	require.Equal(t, jobapi.Succeeded, r.ended(t, id).Status)
	require.Eventually(t, func() bool { return depth(message.Progress) == 0 }, patience, poll)
	require.Equal(t, jobapi.Succeeded, r.ended(t, id).Status, "late progress changes nothing")
}
