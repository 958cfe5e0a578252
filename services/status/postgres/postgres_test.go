package postgres_test

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

func TestMain(m *testing.M) { testbench.Main(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newID(t testing.TB) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id
}

func submitted(id uuid.UUID) job.Event {
	return job.Submitted{ID: job.ID(id), Submission: job.Submission{
		RequestedAt: noon, ObjectKey: id.String(), Filename: "deck.pptx", Format: "pptx", ContentType: "application/x",
		Size: 3, SHA256: bytes.Repeat([]byte{7}, 32), TargetFormat: "pdf", Tag: "mine",
		Options: map[string]any{"pages": "1-3"},
	}}
}

func succeeded(id uuid.UUID) job.Event {
	return job.Ended{
		ID: job.ID(id), Status: job.Succeeded, Attempt: 1, StartedAt: noon, FinishedAt: noon.Add(time.Second),
		Result: &job.Result{
			ObjectKey: "r", ContentType: "application/pdf", Size: 9, SHA256: bytes.Repeat([]byte{8}, 32), Pages: 8,
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Test(t, postgrestest.Implementation())
}

// TestRowsOfEarlierReleasesAreRead inserts a row as the release before package stored wrote it.
func TestRowsOfEarlierReleasesAreRead(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	store := postgrestest.Open(t, settings)
	_, err := postgrestest.Connect(t, settings).Exec(t.Context(), `
		INSERT INTO jobs (
			id, version, status, attempt, started_at, finished_at,
			requested_at, source_key, source_filename, source_format, source_content_type, source_size, source_sha256,
			target_format, target_options, tag,
			result_key, result_content_type, result_size, result_sha256, result_pages, warnings, report
		) VALUES (
			'01981c7e-0000-7000-8000-000000000001', 4, 'succeeded', 2, '2026-03-01 12:00:01+00', '2026-03-01 12:00:02.000003+00',
			'2026-03-01 12:00:00+00', 'key', 'deck.pptx', 'pptx', 'application/x', 3, '\x0102',
			'pdf', '{"pages": "1-3", "pdf_ua": true, "image_quality": 80}', 'mine',
			'result', 'application/pdf', 9, '\x0304', 8, '[{"code": "font-substituted", "detail": "A → B"}]',
			'{"engine": "LibreOffice 7.4.7.2",
			  "seconds": {"queued": 0, "fetch": 0.003, "load": 0.062, "export": 0.25, "store": 1.5},
			  "fonts": [{"name": "A", "replaced_by": "B", "found": false}, {"name": "C", "found": true}],
			  "blocked_links": ["http://example.com/x"], "blocked_links_total": 30,
			  "macros_blocked": true, "hidden_slides_left_out": 2}'
		)`)
	require.NoError(t, err)
	found, err := store.Job(t.Context(), uuid.MustParse("01981c7e-0000-7000-8000-000000000001"))
	require.NoError(t, err)
	require.Equal(t, job.Job{
		ID: uuid.MustParse("01981c7e-0000-7000-8000-000000000001"), Version: 4,
		Record: job.Record{
			Submission: &job.Submission{
				RequestedAt: noon, ObjectKey: "key", Filename: "deck.pptx", Format: "pptx", ContentType: "application/x", Size: 3,
				SHA256: []byte{1, 2}, TargetFormat: "pdf", Tag: "mine",
				Options: map[string]any{"pages": "1-3", "pdf_ua": true, "image_quality": 80.0},
			},
			Status: job.Succeeded, Attempt: 2,
			StartedAt: noon.Add(time.Second), FinishedAt: noon.Add(2*time.Second + 3*time.Microsecond),
			Result:   &job.Result{ObjectKey: "result", ContentType: "application/pdf", Size: 9, SHA256: []byte{3, 4}, Pages: 8},
			Warnings: []job.Warning{{Code: "font-substituted", Detail: "A → B"}},
			Report: &job.Report{
				Engine:       "LibreOffice 7.4.7.2",
				Seconds:      job.Seconds{Queued: new(0.0), Fetch: new(0.003), Load: new(0.062), Export: new(0.25), Store: new(1.5)},
				Fonts:        []job.Font{{Name: "A", ReplacedBy: "B"}, {Name: "C", Found: true}},
				BlockedLinks: []string{"http://example.com/x"}, BlockedLinksTotal: 30, MacrosBlocked: true, HiddenSlidesLeftOut: 2,
			},
		},
	}, found)
}

// TestReportOfNewerVersion requires that a row that this program cannot read does not hold up other jobs.
func TestReportOfNewerVersion(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	store := postgrestest.Open(t, settings)
	newer, other := newID(t), newID(t)
	_, err := store.Apply(t.Context(), []job.Event{succeeded(newer)})
	require.NoError(t, err)
	_, err = postgrestest.Connect(t, settings).Exec(t.Context(), `UPDATE jobs SET report = '{"v": 2}'`)
	require.NoError(t, err)
	outcomes, err := store.Apply(t.Context(), []job.Event{submitted(newer), submitted(other)})
	require.NoError(t, err)
	require.ErrorContains(t, outcomes[0].Refused, "version 2")
	require.True(t, outcomes[1].Changed)
}

func TestMigrationsRunConcurrently(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	var opening sync.WaitGroup
	for range 4 {
		opening.Go(func() { postgrestest.Open(t, settings) })
	}
	opening.Wait()
	connection := postgrestest.Connect(t, settings)
	var version int
	require.NoError(t, connection.QueryRow(t.Context(), "SELECT version FROM schema_version").Scan(&version))
	migrations, err := os.ReadDir("migrations")
	require.NoError(t, err)
	require.Len(t, migrations, version)
	// A replica of this version that starts after a newer one has migrated keeps working.
	_, err = connection.Exec(t.Context(), "UPDATE schema_version SET version = 99")
	require.NoError(t, err)
	_, err = postgrestest.Open(t, settings).Apply(t.Context(), []job.Event{submitted(newID(t))})
	require.NoError(t, err)
}

// ear is an audience.
type ear struct {
	ids    chan uuid.UUID
	missed chan struct{}
}

func (e ear) Wake(ids ...uuid.UUID) {
	for _, id := range ids {
		e.ids <- id
	}
}

func (e ear) WakeAll() { e.missed <- struct{}{} }

// TestListenerReconnects requires that all waiters are woken after the listener's connection was lost, because
// notifications may have been missed.
func TestListenerReconnects(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	heard := ear{ids: make(chan uuid.UUID, 1000), missed: make(chan struct{}, 10)}
	store := postgrestest.Open(t, settings, heard)
	<-heard.missed
	_, err := postgrestest.Connect(t, settings).Exec(t.Context(), `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	require.NoError(t, err)
	<-heard.missed
	id := newID(t)
	_, err = store.Apply(t.Context(), []job.Event{submitted(id)})
	require.NoError(t, err)
	require.Equal(t, id, <-heard.ids)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := postgres.Config{
		URL: "postgres://docmill@127.0.0.1/docmill", Password: config.NewSecret("hush"),
		Connections: 2, ReadTimeout: time.Second,
	}
	require.NoError(t, good.Validate())
	for _, change := range []func(*postgres.Config){
		func(c *postgres.Config) { c.URL = "postgres://docmill:hush@127.0.0.1/docmill" },
		func(c *postgres.Config) { c.URL = "http://127.0.0.1/" },
		func(c *postgres.Config) { c.URL = "postgres://docmill@127.0.0.1/docmill?sslmode=perhaps" },
		func(c *postgres.Config) { c.Connections = 1 },
		func(c *postgres.Config) { c.ReadTimeout = 0 },
	} {
		bad := good
		change(&bad)
		err := bad.Validate()
		require.ErrorContains(t, err, "setting database-")
		require.NotContains(t, err.Error(), "hush")
	}
}

func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			storetest.BenchmarkApply(b, postgrestest.Open(b, postgrestest.Config(testbench.New(b))), size)
		})
	}
}

func BenchmarkJob(b *testing.B) {
	storetest.BenchmarkJob(b, postgrestest.Open(b, postgrestest.Config(testbench.New(b))))
}
