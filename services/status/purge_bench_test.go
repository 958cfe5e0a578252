package status_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/platform/directory"
	"github.com/docmill/docmill/platform/metrics"
	platform "github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/platform/sqlitequeue"
	"github.com/docmill/docmill/services/status"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
	"github.com/docmill/docmill/services/status/sqlite"
)

// BenchmarkPurge measures how long polls and submissions take while nothing is deleted and while expired jobs are, alternately, so that
// other load of the machine has the same effect on both. Half of EXPIRED rows (100,000 by default) are jobs, the first FILES of which (10,000)
// have a document and a result: no more are purged. The other half are tombstones, which are deleted too.
func BenchmarkPurge(b *testing.B) {
	for name, start := range map[string]func(testing.TB) edition{"services": services, "single": single} {
		b.Run(name, func(b *testing.B) {
			e := start(b)
			jobs := variable("EXPIRED", 100_000)
			files := min(jobs/2, variable("FILES", 10_000))
			e.fill(b, jobs, files)
			id := newID(b)
			send(b, e.publisher, append([]proto.Message{submitted(id)}, life(id)...)...)
			e.ended(b, id)
			<-e.store.asked
			var idle, purging latencies
			const rounds = 10
			for range rounds {
				e.measure(b, id, &idle)
				e.store.gate.Unlock()
				e.measure(b, id, &purging)
				e.store.gate.Lock()
			}
			e.store.gate.Unlock()
			purged := e.purged(b, "files")
			require.LessOrEqual(b, purged, files, "not all jobs that were purged had files")
			b.ReportMetric(float64(purged)/(rounds*window.Seconds()), "purged/s")
			b.ReportMetric(float64(e.purged(b, "job"))/(rounds*window.Seconds()), "forgotten/s")
			idle.report(b, "idle")
			purging.report(b, "purging")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func variable(name string, otherwise int) int {
	if set, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return set
	}
	return otherwise
}

// edition is the status service of an edition, with what it uses. It deletes nothing while store.gate is locked, which it is at first.
type edition struct {
	replica

	store            *gated
	sources, results blob.Bucket
	publisher        message.Publisher
	// filled is called after the jobs were stored.
	filled func(b *testing.B)
}

// gated is a store that takes expired jobs only while its gate is unlocked.
type gated struct {
	jobstore.Store

	gate  sync.RWMutex
	asked chan struct{}
}

// Due implements jobstore.Store.
func (g *gated) Due(ctx context.Context, lag time.Duration, limit int, next func(job.Job) job.Event) ([]job.Job, error) {
	select {
	case g.asked <- struct{}{}:
	default:
	}
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Store.Due(ctx, lag, limit, next)
}

func newGated(jobs jobstore.Store) *gated {
	store := &gated{Store: jobs, asked: make(chan struct{}, 1)}
	store.gate.Lock()
	return store
}

// services uses PostgreSQL, RabbitMQ and an S3 store.
func services(t testing.TB) edition {
	t.Helper()
	l := newLifecycle(t)
	s := parse(t, l.Bench)
	jobs, err := postgres.Open(s.Database, zap.NewNop())
	require.NoError(t, err)
	store := newGated(jobs)
	vacuum := func(b *testing.B) {
		b.Helper()
		_, err := postgrestest.Connect(b, s.Database).Exec(b.Context(), "VACUUM ANALYZE jobs")
		require.NoError(b, err)
	}
	return edition{startOn(t, store, s, patience, zap.NewNop()).ready(t), store, l.sources, l.results, l.publisher, vacuum}
}

// single uses SQLite and a directory.
func single(t testing.TB) edition {
	t.Helper()
	dir := t.TempDir()
	db, err := platform.Open(t.Context(), filepath.Join(dir, "docmill.db"), platform.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	queue, err := sqlitequeue.Open(t.Context(), db, sqlitequeue.Options{})
	require.NoError(t, err)
	sources, err := directory.Open(filepath.Join(dir, "sources"), directory.Volatile)
	require.NoError(t, err)
	results, err := directory.Open(filepath.Join(dir, "results"), directory.Volatile)
	require.NoError(t, err)
	store, registry := newGated(sqlite.New(db)), metrics.NewRegistry()
	defaults := status.Config{
		BatchSize: 256, MaxWaiters: 1000, JobDeadline: 24 * time.Hour, Retention: 24 * time.Hour, SourceRetention: 24 * time.Hour, OrphanSweep: time.Hour,
	}
	r := startWith(t, defaults, status.Deps{
		Messages: queue.Broker(status.Name, nil, registry), Jobs: store, Sources: sources, Results: results, Log: zap.NewNop(),
	}, registry, freeAddress(t), patience).ready(t)
	return edition{r, store, sources, results, messagetest.Publisher(t, queue.Broker("test", nil, nil)), func(*testing.B) {}}
}

// fill stores jobs that expired a day ago, every other one as a tombstone that is to be deleted.
func (e edition) fill(b *testing.B, jobs, files int) {
	b.Helper()
	const batch, parallel = 1000, 32
	at := time.Now().UTC().Truncate(time.Microsecond).Add(-24 * time.Hour)
	for begin := 0; begin < jobs; begin += batch {
		var events []job.Event
		for i := begin; i < min(begin+batch, jobs); i++ {
			events = append(events, outlived(i, at.Add(time.Duration(i)*time.Millisecond))...)
		}
		_, err := e.store.Apply(b.Context(), events)
		require.NoError(b, err)
	}
	var putting errgroup.Group
	putting.SetLimit(parallel)
	for i := range files {
		putting.Go(func() error {
			err := e.sources.Put(b.Context(), document(2*i), strings.NewReader("abc"), 3, blob.PutOptions{})
			if err != nil {
				return err
			}
			return e.results.Put(b.Context(), result(2*i), strings.NewReader("abc"), 3, blob.PutOptions{})
		})
	}
	require.NoError(b, putting.Wait())
	e.filled(b)
}

func document(i int) string { return fmt.Sprintf("document-%d", i) }

func result(i int) string { return fmt.Sprintf("result-%d", i) }

// outlived returns the events of a job that has expired, every other of which is a tombstone.
func outlived(i int, at time.Time) []job.Event {
	id := job.ID(uuid.New())
	events := []job.Event{
		job.Submitted{ID: id, Submission: job.Submission{
			RequestedAt: at, ObjectKey: document(i), Filename: "deck.pptx", Format: "pptx", ContentType: "application/x", Size: 3, SHA256: make([]byte, 32),
			TargetFormat: "pdf",
		}},
		job.Ended{
			ID: id, Status: job.Succeeded, Attempt: 1, StartedAt: at, FinishedAt: at, ExpiresAt: at, SourceExpiresAt: at,
			Result: &job.Result{ObjectKey: result(i), ContentType: "application/pdf", Size: 3, SHA256: make([]byte, 32), Pages: 1},
		},
	}
	if i%2 == 1 {
		events = append(events, job.Removed{ID: id, Reason: job.Expired, At: at, Until: at}, job.FilesRemoved{ID: id})
	}
	return events
}

// purged returns how much was deleted of a kind.
func (e edition) purged(b *testing.B, kind string) int {
	b.Helper()
	found := regexp.MustCompile(`docmill_status_purged_total\{kind="` + kind + `"\} (\S+)`).FindSubmatch(get(b, e.admin+"/metrics").Body)
	require.NotNil(b, found)
	n, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(b, err)
	return int(n)
}

// latencies are how long requests took.
type latencies struct {
	mutex              sync.Mutex
	polls, submissions []time.Duration
}

// window is how long requests are measured before that changes.
const window = 1500 * time.Millisecond

// measure polls a job with four clients, and submits jobs with another one.
func (e edition) measure(b *testing.B, id string, l *latencies) {
	b.Helper()
	const clients = 4
	var running sync.WaitGroup
	end := time.Now().Add(window)
	repeat := func(into *[]time.Duration, pause time.Duration, do func()) {
		running.Go(func() {
			for ; time.Now().Before(end); time.Sleep(pause) {
				began := time.Now()
				do()
				took := time.Since(began)
				l.mutex.Lock()
				*into = append(*into, took)
				l.mutex.Unlock()
			}
		})
	}
	for range clients {
		repeat(&l.polls, 5*time.Millisecond, func() {
			if got := get(b, e.url+jobapi.Path(id)); got.StatusCode != http.StatusOK {
				b.Errorf("a poll was answered with %d", got.StatusCode)
			}
		})
	}
	repeat(&l.submissions, 20*time.Millisecond, func() {
		id := newID(b)
		send(b, e.publisher, submitted(id))
		if got := get(b, e.url+"/internal/jobs/"+id+"/recorded?wait=60s"); got.StatusCode != http.StatusOK {
			b.Errorf("a job was not recorded: %d", got.StatusCode)
		}
	})
	running.Wait()
}

func (l *latencies) report(b *testing.B, when string) {
	b.Helper()
	for what, took := range map[string][]time.Duration{"poll": l.polls, "submission": l.submissions} {
		require.NotEmpty(b, took)
		slices.Sort(took)
		for _, p := range []int{50, 99} {
			b.ReportMetric(took[len(took)*p/100].Seconds()*1e3, fmt.Sprintf("ms-%s-p%d-%s", what, p, when))
		}
	}
}
