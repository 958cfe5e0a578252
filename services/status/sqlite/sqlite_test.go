package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	platform "github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/sqlite"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Test(t, storetest.Implementation{New: newDatabase})
}

// database is a file, and its latest opened database.
type database struct {
	path string
	db   *platform.DB
}

func newDatabase(tb testing.TB) storetest.Database {
	tb.Helper()
	return &database{path: filepath.Join(tb.TempDir(), "docmill.db")}
}

// store closes its database at its end, as the process does.
type store struct {
	*sqlite.Store

	db *platform.DB
}

func (s store) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return errors.Join(s.Store.Run(ctx, ready, drain), s.db.Close())
}

func (d *database) Open(tb testing.TB) jobstore.Store {
	tb.Helper()
	db, err := platform.Open(tb.Context(), d.path, platform.Options{})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = db.Close() })
	d.db = db
	return store{sqlite.New(db), db}
}

func (d *database) Backdate(tb testing.TB, by time.Duration, ids ...uuid.UUID) {
	tb.Helper()
	require.NoError(tb, d.db.Write(tb.Context(), platform.Relaxed, func(ctx context.Context, tx *platform.Tx) error {
		for _, id := range ids {
			const statement = "UPDATE jobs SET first_seen_at = first_seen_at - ? WHERE id = ?"
			if _, err := tx.ExecContext(ctx, statement, by.Microseconds(), id[:]); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (d *database) SetClock(tb testing.TB, by time.Duration) {
	tb.Helper()
	require.NoError(tb, d.db.Write(tb.Context(), platform.Relaxed, func(ctx context.Context, tx *platform.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE observed_clock SET seen_at = seen_at - ?1, held_until = held_until - ?1,
			jumped_at = jumped_at - ?1, trusted_at = trusted_at - ?1`, by.Microseconds())
		return err
	}))
}

func open(tb testing.TB) (*platform.DB, jobstore.Store) {
	tb.Helper()
	d := &database{path: filepath.Join(tb.TempDir(), "docmill.db")}
	store := d.Open(tb)
	storetest.Run(tb, store.Run)
	storetest.WaitReady(tb, store)
	return d.db, store
}

// TestRowsAreStoredAsDocumented holds the format of the columns, which newer versions must read.
func TestRowsAreStoredAsDocumented(t *testing.T) {
	t.Parallel()
	db, store := open(t)
	id := uuid.MustParse("01981c7e-0000-7000-8000-000000000001")
	noon := time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)
	_, err := store.Apply(t.Context(), []job.Event{
		job.Submitted{ID: job.ID(id), Submission: job.Submission{
			RequestedAt: noon, Filename: "deck.pptx", SHA256: []byte{1, 2}, TargetFormat: "pdf",
			Options: map[string]any{"pages": "1-3"},
		}},
		job.Ended{
			ID: job.ID(id), Status: job.Succeeded, Attempt: 1, FinishedAt: noon,
			Result:   &job.Result{ObjectKey: "r", SHA256: []byte{3}},
			Warnings: []job.Warning{{Code: "c", Detail: "d"}}, Report: &job.Report{Engine: "LibreOffice"},
		},
	})
	require.NoError(t, err)
	var row string
	require.NoError(t, db.Reader().QueryRowContext(t.Context(), `
		SELECT hex(id) || ' ' || typeof(first_seen_at) || ' ' || requested_at || ' ' || status || ' ' ||
			hex(source_sha256) || ' ' || target_options || ' ' || warnings || ' ' || report || ' ' ||
			coalesce(started_at, 'NULL') FROM jobs`).Scan(&row))
	require.Equal(t, `01981C7E000070008000000000000001 integer 1772366400000001 succeeded 0102 `+
		`{"pages":"1-3"} [{"code":"c","detail":"d"}] `+
		`{"v":1,"engine":"LibreOffice","seconds":{},"fonts":null,"blocked_links":null,"blocked_links_total":0,`+
		`"macros_blocked":false,"hidden_slides_left_out":0} NULL`, row)
}

func TestReportOfNewerVersion(t *testing.T) {
	t.Parallel()
	db, store := open(t)
	newer, other := job.ID(uuid.New()), job.ID(uuid.New())
	ended := job.Ended{ID: newer, Status: job.Succeeded, FinishedAt: time.Now(), Result: &job.Result{}}
	_, err := store.Apply(t.Context(), []job.Event{ended})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), platform.Relaxed, func(ctx context.Context, tx *platform.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE jobs SET report = '{"v": 2}'`)
		return err
	}))
	outcomes, err := store.Apply(t.Context(), []job.Event{
		job.Submitted{ID: newer, Submission: job.Submission{RequestedAt: time.Now()}},
		job.Submitted{ID: other, Submission: job.Submission{RequestedAt: time.Now()}},
	})
	require.NoError(t, err)
	require.ErrorContains(t, outcomes[0].Refused, "version 2")
	require.True(t, outcomes[1].Changed)
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	d := &database{path: filepath.Join(t.TempDir(), "docmill.db")}
	store := d.Open(t)
	files := fstest.MapFS{}
	for version := range 99 {
		name := fmt.Sprintf("%03d_x.sql", version+1)
		files[name] = &fstest.MapFile{Data: []byte(fmt.Sprintf("CREATE TABLE t%d (x INTEGER) STRICT;", version))}
	}
	require.NoError(t, d.db.Migrate(t.Context(), "jobs", files))
	err := store.Run(t.Context(), func() { require.Fail(t, "the store must not become ready") }, nil)
	require.ErrorIs(t, err, platform.ErrNewerVersion)
}

// TestHousekeepingReadsIndexes requires that the sweep and the purge do not read all jobs, also while many have expired.
func TestHousekeepingReadsIndexes(t *testing.T) {
	t.Parallel()
	db, _ := open(t)
	source, err := os.ReadFile("internal/query/queries.sql.go")
	require.NoError(t, err)
	for query, want := range map[string]string{
		"ListOverdue":     "SEARCH jobs USING INDEX jobs_unfinished (first_seen_at<?)\n",
		"ListDue":         "SEARCH jobs USING INDEX jobs_due (due_at<?)\n",
		"ListDueRequests": "SEARCH jobs USING INDEX jobs_requested (due_at<?)\n",
	} {
		text := regexp.MustCompile("(?s)-- name: " + query + " :many\n(.*?)`").FindSubmatch(source)
		require.NotNil(t, text)
		require.Equal(t, want, explain(t, db, string(text[1])))
	}
}

// explain returns the plan of a query with two parameters.
func explain(t *testing.T, db *platform.DB, query string) string {
	t.Helper()
	rows, err := db.Reader().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, 1, 1)
	require.NoError(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
		plan.WriteString(detail + "\n")
	}
	require.NoError(t, rows.Err())
	return plan.String()
}

func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			_, store := open(b)
			storetest.BenchmarkApply(b, store, size)
		})
	}
}

func BenchmarkJob(b *testing.B) {
	_, store := open(b)
	storetest.BenchmarkJob(b, store)
}

// BenchmarkList measures lists of 1,000,000 jobs. It needs half a minute and 1 GB of disk space to make them.
func BenchmarkList(b *testing.B) {
	db, store := open(b)
	const indexes = `DROP INDEX jobs_listed; DROP INDEX jobs_tagged`
	exec := func(statement string, args ...any) {
		require.NoError(b, db.Write(b.Context(), platform.Relaxed, func(ctx context.Context, tx *platform.Tx) error {
			_, err := tx.ExecContext(ctx, statement, args...)
			return err
		}))
	}
	for statement := range strings.SplitSeq(indexes, ";") { // to see how long it takes to build them
		exec(statement)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli()
	exec(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE numbers.n < ?2)
		INSERT INTO jobs (id, version, first_seen_at, status, attempt, phase, percent, requested_at, started_at, finished_at, withdrawn, gone, tag,
			source_key, source_filename, source_format, source_content_type, source_size, source_sha256, target_format,
			result_key, result_content_type, result_size, result_sha256, result_pages, failure_code, failure_detail, failure_retryable, report)
		SELECT unhex(printf('%012x70008000000000000000', ?1 + n)), 4, 0 + n,
			CASE WHEN n > 990000 THEN iif(n % 10 = 0, 'running', 'queued')
				WHEN n < 100 THEN 'canceled' WHEN n % 100 = 50 THEN 'failed' ELSE 'succeeded' END,
			1, 0, 0, iif(n % 1000 <> 1, n, NULL), n, 1 + n, n % 1000 = 2, iif(n % 1000 = 3, 'deleted', ''),
			CASE WHEN n < 50 THEN 'rare' WHEN n % 2 = 0 THEN 'common' WHEN n % 3 = 0 THEN 'customer-' || (n % 1000) ELSE '' END,
			hex(randomblob(18)), 'A document.docx', 'docx', 'application/x', 1, zeroblob(32), 'pdf',
			hex(randomblob(18)), 'application/pdf', 1, zeroblob(32), 1, '', '', 0, ?3
		FROM numbers`, noon, storetest.ListedJobs, `{"v": 1, "engine": "LibreOffice 7.4.7.2", "seconds": {"queued": 0, "fetch": 0.003, "load": 0.062},
			"fonts": [{"name": "Arial", "found": true}], "blocked_links": [], "blocked_links_total": 0, "macros_blocked": false, "hidden_slides_left_out": 0}`)
	migration, err := os.ReadFile("migrations/009_listing.sql")
	require.NoError(b, err)
	began := time.Now()
	for statement := range strings.SplitSeq(strings.TrimSpace(string(migration)), ";\n") {
		exec(statement)
	}
	b.Logf("the indexes were built in %s", time.Since(began))
	storetest.BenchmarkList(b, store)
}

// BenchmarkListCost measures what the indexes of lists cost.
func BenchmarkListCost(b *testing.B) {
	_, with := open(b)
	db, without := open(b)
	for _, index := range []string{"jobs_listed", "jobs_tagged"} {
		require.NoError(b, db.Write(b.Context(), platform.Relaxed, func(ctx context.Context, tx *platform.Tx) error {
			_, err := tx.ExecContext(ctx, "DROP INDEX "+index)
			return err
		}))
	}
	for _, size := range []int{16, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { storetest.BenchmarkCost(b, with, without, size) })
	}
}
