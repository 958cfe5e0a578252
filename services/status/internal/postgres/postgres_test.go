package postgres_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/postgres"
	"github.com/docmill/docmill/services/status/internal/postgres/postgrestest"
)

func TestMain(m *testing.M) { testbench.Main(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newID(t testing.TB) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id
}

// life is all events of one job, with everything set that can be.
func life(id uuid.UUID) []fold.Event {
	of := fold.JobID(id)
	return []fold.Event{
		fold.Submitted{JobID: of, Submission: fold.Submission{
			RequestedAt: noon, ObjectKey: id.String(), Filename: "Vorträge – 講演.pptx", Format: "pptx", ContentType: "application/x", Size: 5 << 30,
			SHA256: bytes.Repeat([]byte{7}, 32), TargetFormat: "pdf", Tag: "mine",
			Options: map[string]any{"pages": "1-3", "pdf_ua": true, "image_quality": 80.0},
		}},
		fold.Moved{JobID: of, Attempt: 1, At: noon.Add(time.Second), Begins: true, Status: jobapi.Running},
		fold.Moved{JobID: of, Attempt: 1, At: noon.Add(2 * time.Second), Status: jobapi.Running, Phase: fold.Storing, Percent: 90},
		fold.Moved{JobID: of, Attempt: 1, At: noon.Add(3 * time.Second), Status: jobapi.Queued},
		fold.Moved{JobID: of, Attempt: 2, At: noon.Add(4 * time.Second), Begins: true, Status: jobapi.Running},
		fold.Ended{
			JobID: of, Attempt: 2, StartedAt: noon.Add(4 * time.Second), FinishedAt: noon.Add(5*time.Second + time.Microsecond),
			Result:   &fold.Result{ObjectKey: "r", ContentType: "application/pdf", Size: 9, SHA256: bytes.Repeat([]byte{8}, 32), Pages: 8},
			Warnings: []fold.Warning{{Code: "font-substituted", Detail: "A → B"}}, Report: report(),
		},
	}
}

func report() *jobapi.Report {
	load := 0.062
	return &jobapi.Report{
		Engine: "LibreOffice 7.4.7.2", Seconds: jobapi.Seconds{Load: &load}, Fonts: []jobapi.Font{{Name: "A", ReplacedBy: "B"}, {Name: "C", Found: true}},
		BlockedLinks: []string{"http://example.com/x"}, BlockedLinksTotal: 1, MacrosBlocked: true, HiddenSlidesLeftOut: 2,
	}
}

func folded(id uuid.UUID, events ...fold.Event) fold.Job {
	j := fold.New(id)
	for _, event := range events {
		j, _ = fold.Apply(j, event)
	}
	return j
}

func setup(t testing.TB) *postgres.Store {
	t.Helper()
	return postgrestest.Open(t, postgrestest.Config(testbench.New(t)))
}

func TestWhatIsAppliedIsRead(t *testing.T) {
	t.Parallel()
	store, id := setup(t), newID(t)
	events := life(id)
	for i, event := range events {
		outcomes, err := store.Apply(t.Context(), []fold.Event{event, event})
		require.NoError(t, err)
		require.Equal(t, []postgres.Outcome{{Changed: true}, {}}, outcomes, "a duplicate in the batch has no effect")
		outcomes, err = store.Apply(t.Context(), events[:i+1])
		require.NoError(t, err)
		require.NotContains(t, outcomes, postgres.Outcome{Changed: true}, "a redelivery has no effect")
		found, err := store.Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, folded(id, events[:i+1]...), found)
	}
	id = newID(t)
	failed := []fold.Event{life(id)[0], fold.Ended{JobID: fold.JobID(id), Attempt: 1, FinishedAt: noon, Failure: &fold.Failure{Code: "c", Detail: "d", Retryable: true}, Report: report()}}
	_, err := store.Apply(t.Context(), failed)
	require.NoError(t, err)
	found, err := store.Job(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, folded(id, failed...), found)
}

func TestAJobWithoutItsSubmissionIsNotThere(t *testing.T) {
	t.Parallel()
	store, id := setup(t), newID(t)
	events := life(id)
	_, err := store.Job(t.Context(), id)
	require.ErrorIs(t, err, postgres.ErrNotFound)
	_, err = store.Apply(t.Context(), events[1:])
	require.NoError(t, err)
	_, err = store.Job(t.Context(), id)
	require.ErrorIs(t, err, postgres.ErrNotFound)
	_, err = store.Apply(t.Context(), events[:1])
	require.NoError(t, err)
	found, err := store.Job(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, jobapi.Succeeded, found.Status)
}

func TestReplicasRaceOnTheSameJobs(t *testing.T) {
	t.Parallel()
	config := postgrestest.Config(testbench.New(t))
	const replicas, jobs, batch = 4, 300, 100
	ids := make([]uuid.UUID, jobs)
	var events []fold.Event
	for i := range ids {
		ids[i] = newID(t)
		events = append(events, life(ids[i])...)
	}
	stores := make([]*postgres.Store, replicas)
	for r := range stores {
		stores[r] = postgrestest.Open(t, config)
	}
	// Every event goes to one replica, as from a queue; every tenth to another one as well.
	chance := rand.New(rand.NewPCG(1, 2))
	parts := make([][]fold.Event, replicas)
	for _, at := range chance.Perm(len(events)) {
		r := chance.IntN(replicas)
		parts[r] = append(parts[r], events[at])
		if chance.IntN(10) == 0 {
			parts[(r+1)%replicas] = append(parts[(r+1)%replicas], events[at])
		}
	}
	var group errgroup.Group
	for r, part := range parts {
		group.Go(func() error {
			for some := range slices.Chunk(part, batch) {
				if _, err := stores[r].Apply(t.Context(), some); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait(), "in particular no deadlock")
	for _, id := range ids {
		found, err := stores[0].Job(t.Context(), id)
		require.NoError(t, err)
		want := folded(id, life(id)...)
		require.LessOrEqual(t, found.Version, want.Version)
		want.Version = found.Version
		require.Equal(t, want, found)
	}
}

func TestMigrationsRunTwiceAtOnce(t *testing.T) {
	t.Parallel()
	config := postgrestest.Config(testbench.New(t))
	var opening sync.WaitGroup
	for range 4 {
		opening.Go(func() { postgrestest.Open(t, config) })
	}
	opening.Wait()
	connection := connect(t, config)
	var version int
	require.NoError(t, connection.QueryRow(t.Context(), "SELECT version FROM schema_version").Scan(&version))
	require.Equal(t, 2, version)
	// A replica of this version that starts after a newer one has migrated works on.
	_, err := connection.Exec(t.Context(), "UPDATE schema_version SET version = 99")
	require.NoError(t, err)
	_, err = postgrestest.Open(t, config).Apply(t.Context(), life(newID(t)))
	require.NoError(t, err)
}

func connect(t testing.TB, config postgres.Config) *pgx.Conn {
	t.Helper()
	settings, err := pgx.ParseConfig(config.URL)
	require.NoError(t, err)
	settings.Password = config.Password.Reveal()
	connection, err := pgx.ConnectConfig(t.Context(), settings)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close(t.Context()) })
	return connection
}

func TestOneBadEventDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	store := setup(t)
	first, bad, last := life(newID(t)), newID(t), life(newID(t))
	poison := life(bad)[0].(fold.Submitted)
	poison.Submission.Filename = "\x00" // fold.Read lets none through; whatever else PostgreSQL refuses ends the same way
	outcomes, err := store.Apply(t.Context(), []fold.Event{first[0], poison, last[0]})
	require.NoError(t, err)
	require.True(t, outcomes[0].Changed)
	require.ErrorIs(t, outcomes[1].Refused, postgres.ErrRefused)
	require.True(t, outcomes[2].Changed)
	_, err = store.Job(t.Context(), bad)
	require.ErrorIs(t, err, postgres.ErrNotFound)
}

func TestExpire(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	store := postgrestest.Open(t, postgrestest.Config(bench))
	connection := connect(t, postgrestest.Config(bench))
	finished, fresh := newID(t), newID(t)
	_, err := store.Apply(t.Context(), append(life(finished), life(fresh)[:2]...))
	require.NoError(t, err)
	const overdue = 30
	for range overdue {
		_, err = store.Apply(t.Context(), life(newID(t))[:2])
		require.NoError(t, err)
	}
	_, err = connection.Exec(t.Context(), "UPDATE jobs SET first_seen_at = now() - interval '2 hours' WHERE id <> $1", fresh)
	require.NoError(t, err)

	end := func(j fold.Job) fold.Event {
		return fold.Ended{JobID: fold.JobID(j.ID), FinishedAt: noon, Failure: &fold.Failure{Code: "attempts-exhausted"}}
	}
	seen := make(chan uuid.UUID, 2*overdue)
	var group errgroup.Group
	for range 4 { // replicas
		group.Go(func() error {
			for {
				expired, err := store.Expire(t.Context(), time.Hour, 3, end)
				if len(expired) == 0 || err != nil {
					return err
				}
				for _, j := range expired {
					seen <- j.ID
				}
			}
		})
	}
	require.NoError(t, group.Wait())
	require.Len(t, seen, overdue, "each exactly once")
	found, err := store.Job(t.Context(), <-seen)
	require.NoError(t, err)
	require.Equal(t, jobapi.Failed, found.Status)
	require.Equal(t, "attempts-exhausted", found.Failure.Code)
	for id, status := range map[uuid.UUID]jobapi.Status{finished: jobapi.Succeeded, fresh: jobapi.Running} {
		found, err := store.Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, status, found.Status)
	}
}

// ear keeps what it hears.
type ear struct {
	ids  chan uuid.UUID
	alls chan struct{}
}

func (e ear) Wake(ids ...uuid.UUID) {
	for _, id := range ids {
		e.ids <- id
	}
}

func (e ear) WakeAll() { e.alls <- struct{}{} }

func TestListenerHearsOfStatesAndNotOfProgress(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	store := postgrestest.Open(t, postgrestest.Config(bench))
	heard := ear{ids: make(chan uuid.UUID, 1000), alls: make(chan struct{}, 10)}
	postgrestest.Run(t, postgres.NewListener(store, heard, zap.NewNop()).Run)
	<-heard.alls

	const jobs = 450 // more than one payload holds
	events := make([]fold.Event, jobs)
	want := map[uuid.UUID]bool{}
	for i := range events {
		id := newID(t)
		events[i], want[id] = life(id)[0], true
	}
	_, err := store.Apply(t.Context(), events)
	require.NoError(t, err)
	for range jobs {
		delete(want, <-heard.ids)
	}
	require.Empty(t, want)

	id := newID(t)
	for _, event := range life(id)[:4] { // submitted, started, progressed, retried
		_, err := store.Apply(t.Context(), []fold.Event{event})
		require.NoError(t, err)
	}
	other := newID(t)
	_, err = store.Apply(t.Context(), life(other)[:1])
	require.NoError(t, err)
	for _, next := range []uuid.UUID{id, id, id, other} {
		require.Equal(t, next, <-heard.ids)
	}

	// The connection is lost: what happened meanwhile is made good by waking all.
	_, err = connect(t, postgrestest.Config(bench)).Exec(t.Context(),
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
	require.NoError(t, err)
	<-heard.alls
	_, err = store.Apply(t.Context(), life(id)[4:5])
	require.NoError(t, err)
	require.Equal(t, id, <-heard.ids)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := postgres.Config{URL: "postgres://docmill@127.0.0.1/docmill", Connections: 2, ReadTimeout: time.Second, Password: config.NewSecret("hush")}
	require.NoError(t, good.Validate())
	for _, bad := range []func(*postgres.Config){
		func(c *postgres.Config) { c.URL = "postgres://docmill:hush@127.0.0.1/docmill" },
		func(c *postgres.Config) { c.URL = "http://127.0.0.1/" },
		func(c *postgres.Config) { c.URL = "postgres://docmill@127.0.0.1/docmill?sslmode=perhaps" },
		func(c *postgres.Config) { c.Connections = 1 },
		func(c *postgres.Config) { c.ReadTimeout = 0 },
	} {
		config := good
		bad(&config)
		err := config.Validate()
		require.ErrorContains(t, err, "setting database-")
		require.NotContains(t, err.Error(), "hush")
	}
}

// BenchmarkApply measures events a second through the database, in batches as the consumer makes them: the four events of
// a job come in batches of their own.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			store := setup(b)
			b.ResetTimer()
			for n := 0; n < b.N; {
				ids := make([]uuid.UUID, size)
				for i := range ids {
					ids[i] = newID(b)
				}
				for _, step := range []int{0, 1, 2, 5} {
					batch := make([]fold.Event, size)
					for i, id := range ids {
						batch[i] = life(id)[step]
					}
					_, err := store.Apply(b.Context(), batch)
					require.NoError(b, err)
					n += size
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkJob measures reads, of as many clients at once as there are connections.
func BenchmarkJob(b *testing.B) {
	store, id := setup(b), newID(b)
	_, err := store.Apply(b.Context(), life(id))
	require.NoError(b, err)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := store.Job(b.Context(), id); err != nil {
				b.Error(strings.TrimSpace(err.Error()))
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
