package postgres_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// listIndexes are the indexes of lists.
var listIndexes = []string{"jobs_listed", "jobs_tagged"}

// validIndexes returns how many indexes of lists can be used, and how many exist.
func validIndexes(ctx context.Context, t testing.TB, connection *pgx.Conn) (valid, all int) {
	t.Helper()
	require.NoError(t, connection.QueryRow(ctx, `SELECT count(*) FILTER (WHERE indisvalid), count(*) FROM pg_index
		WHERE indexrelid::regclass::text = ANY($1)`, listIndexes).Scan(&valid, &all))
	return valid, all
}

// waitForIndexes waits until the indexes of lists are built.
func waitForIndexes(t testing.TB, connection *pgx.Conn) {
	t.Helper()
	require.Eventually(t, func() bool {
		valid, _ := validIndexes(t.Context(), t, connection)
		return valid == len(listIndexes)
	}, storetest.Patience, 10*time.Millisecond)
}

// TestListsReadIndexes requires that no list reads many jobs, also if the database plans the queries without knowing the
// parameters, and if the jobs that are wanted are rare or the oldest.
func TestListsReadIndexes(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	postgrestest.Open(t, settings)
	connection := postgrestest.Connect(t, settings)
	_, err := connection.Exec(t.Context(), `INSERT INTO jobs (id, status, requested_at, tag)
		SELECT lpad(to_hex(n), 32, '0')::uuid, CASE WHEN n < 5 THEN 'failed' ELSE 'succeeded' END, now(),
			CASE WHEN n < 10 THEN 'rare' WHEN n % 2 = 0 THEN 'common' ELSE '' END
		FROM generate_series(1, 20000) AS n`)
	require.NoError(t, err)
	_, err = connection.Exec(t.Context(), "VACUUM ANALYZE jobs")
	require.NoError(t, err)
	for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
		_, err = connection.Exec(t.Context(), "SET plan_cache_mode = "+mode)
		require.NoError(t, err)
		for query, values := range map[string]string{
			"ListJobs":       "array['queued','failed'], '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 20",
			"ListTaggedJobs": "array['queued','failed'], 'rare', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 20",
			"ListWaits":      "array['running','failed'], 20",
		} {
			plan := explain(t, connection, query, values)
			index := "jobs_listed"
			if query == "ListTaggedJobs" {
				index = "jobs_tagged"
			}
			require.Regexp(t, "Index (Only )?Scan (Backward )?using "+index, plan, mode)
			require.Regexp(t, "Index Scan (Backward )?using jobs_pkey", plan, mode)
			require.NotContains(t, plan, "Seq Scan", mode)
			require.NotContains(t, plan, "Bitmap", mode)
		}
	}
}

// TestRequestsReadTheirIndex requires that the requests of clients are found among many jobs that have expired, also if the statistics
// are older than the requests, or if there are no statistics.
func TestRequestsReadTheirIndex(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	postgrestest.Open(t, settings)
	connection := postgrestest.Connect(t, settings)
	requirePlan := func() {
		for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
			_, err := connection.Exec(t.Context(), "SET plan_cache_mode = "+mode)
			require.NoError(t, err)
			plan := explain(t, connection, "LockDueRequests", "200")
			require.Contains(t, plan, "Index Scan using jobs_requested", mode)
			require.NotContains(t, plan, "Sort", mode)
		}
	}
	for _, statement := range []string{
		`INSERT INTO jobs (id, status, expires_at, due_at) SELECT gen_random_uuid(), 'failed', now(), now() - n * interval '1 ms' FROM generate_series(1, 20000) AS n`,
		"VACUUM ANALYZE jobs",
		"UPDATE jobs SET gone = 'deleted', gone_at = now() WHERE id IN (SELECT id FROM jobs LIMIT 300)",
		"VACUUM ANALYZE jobs",
	} {
		_, err := connection.Exec(t.Context(), statement)
		require.NoError(t, err)
		requirePlan()
	}
}

// explain returns the plan of a query of queries.sql, which it prepares.
func explain(t *testing.T, connection *pgx.Conn, name, values string) string {
	t.Helper()
	text, err := os.ReadFile("internal/query/queries.sql.go")
	require.NoError(t, err)
	query := regexp.MustCompile("(?s)-- name: " + name + " :many\n(.*?)`").FindSubmatch(text)
	require.NotNil(t, query)
	_, err = connection.Exec(t.Context(), "DEALLOCATE ALL; PREPARE listing AS "+string(query[1]))
	require.NoError(t, err)
	rows, err := connection.Query(t.Context(), "EXPLAIN EXECUTE listing("+values+")", pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(plan, "\n")
}

// TestIndexesAreBuiltBesideWrites requires that a large table can be written while its indexes are built, that two replicas do
// not disturb each other, and that an index whose construction was interrupted is built again.
func TestIndexesAreBuiltBesideWrites(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	first, err := postgres.Open(settings, zaptest.NewLogger(t))
	require.NoError(t, err)
	stop := storetest.Run(t, first.Run)
	storetest.WaitReady(t, first)
	connection := postgrestest.Connect(t, settings)
	valid, _ := validIndexes(t.Context(), t, connection)
	require.Len(t, listIndexes, valid, "a small table has them at once")
	stop()
	for _, index := range listIndexes {
		_, err = connection.Exec(t.Context(), "DROP INDEX "+index)
		require.NoError(t, err)
	}
	const placeholders = 1001
	_, err = connection.Exec(t.Context(), "INSERT INTO jobs (id) SELECT gen_random_uuid() FROM generate_series(1, $1)", placeholders)
	require.NoError(t, err)

	// A transaction that is older holds up the construction, as a large table or a backup does.
	older, err := postgrestest.Connect(t, settings).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	_, err = older.Exec(t.Context(), "SELECT FROM jobs")
	require.NoError(t, err)
	second, third := postgrestest.Open(t, settings), postgrestest.Open(t, settings)
	building := func() (pid int) {
		_ = connection.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
			AND query LIKE '%INDEX CONCURRENTLY%' AND pid <> pg_backend_pid() AND state = 'active' AND wait_event_type = 'Lock'`).Scan(&pid)
		return pid
	}
	require.Eventually(t, func() bool { return building() != 0 }, storetest.Patience, 10*time.Millisecond)
	id := newID(t)
	_, err = second.Apply(t.Context(), []job.Event{submitted(id), submitted(newID(t)), succeeded(id)})
	require.NoError(t, err)
	jobs, err := third.List(t.Context(), jobstore.Selection{Limit: 10})
	require.NoError(t, err)
	require.Len(t, jobs, 2, "a list needs no index")

	killed := building()
	_, err = connection.Exec(t.Context(), "SELECT pg_terminate_backend($1)", killed)
	require.NoError(t, err)
	begins := func() bool { pid := building(); return pid != 0 && pid != killed }
	require.Eventually(t, begins, storetest.Patience, 10*time.Millisecond, "it begins again, and deletes what is left of the first try")
	require.NoError(t, older.Rollback(t.Context()))
	waitForIndexes(t, connection)
	_, all := validIndexes(t.Context(), t, connection)
	require.Equal(t, len(listIndexes), all)
	jobs, err = third.List(t.Context(), jobstore.Selection{Limit: 10, Filter: jobstore.Filter{Statuses: []job.Status{job.Succeeded}}})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{id}, []uuid.UUID{jobs[0].ID})
}

// BenchmarkList measures lists of 1,000,000 jobs. It needs about a minute and 2 GB of disk space to make them.
func BenchmarkList(b *testing.B) {
	settings := postgrestest.Config(testbench.New(b))
	store := postgrestest.Open(b, settings)
	connection := postgrestest.Connect(b, settings)
	for _, index := range listIndexes { // to see how long it takes to build them
		_, err := connection.Exec(b.Context(), "DROP INDEX "+index)
		require.NoError(b, err)
	}
	_, err := connection.Exec(b.Context(), `
		INSERT INTO jobs (id, status, attempt, requested_at, started_at, finished_at, withdrawn, gone, tag,
			source_key, source_filename, source_format, source_content_type, source_sha256, target_format,
			result_key, result_content_type, result_sha256, report)
		SELECT (lpad(to_hex($1::bigint + n), 12, '0') || '70008000000000000000')::uuid,
			CASE WHEN n > 990000 THEN CASE WHEN n % 10 = 0 THEN 'running' ELSE 'queued' END
				WHEN n < 100 THEN 'canceled' WHEN n % 100 = 50 THEN 'failed' ELSE 'succeeded' END,
			1, CASE WHEN n % 1000 <> 1 THEN now() END, now(), clock_timestamp(), n % 1000 = 2, CASE WHEN n % 1000 = 3 THEN 'deleted' ELSE '' END,
			CASE WHEN n < 50 THEN 'rare' WHEN n % 2 = 0 THEN 'common' WHEN n % 3 = 0 THEN 'customer-' || n % 1000 ELSE '' END,
			gen_random_uuid()::text, 'A document.docx', 'docx', 'application/x', sha256('a'), 'pdf',
			gen_random_uuid()::text, 'application/pdf', sha256('b'), $2::jsonb
		FROM generate_series(1, $3::int) AS n`, noon.UnixMilli(), reportJSON, storetest.ListedJobs)
	require.NoError(b, err)
	_, err = connection.Exec(b.Context(), "VACUUM ANALYZE jobs")
	require.NoError(b, err)
	began := time.Now()
	postgrestest.Open(b, settings)
	waitForIndexes(b, connection)
	b.Logf("the indexes were built in %s", time.Since(began))
	var sizes string
	require.NoError(b, connection.QueryRow(b.Context(), `SELECT format('jobs %s, jobs_listed %s, jobs_tagged %s', pg_size_pretty(pg_table_size('jobs')),
		pg_size_pretty(pg_relation_size('jobs_listed')), pg_size_pretty(pg_relation_size('jobs_tagged')))`).Scan(&sizes))
	b.Log(sizes)
	storetest.BenchmarkList(b, store)
}

// reportJSON is a report of usual size.
const reportJSON = `{"v": 1, "engine": "LibreOffice 7.4.7.2", "seconds": {"queued": 0, "fetch": 0.003, "load": 0.062, "export": 0.25, "store": 1.5},
	"fonts": [{"name": "Arial", "found": true}, {"name": "Calibri", "replaced_by": "Docmill Ca", "found": false, "same_metrics": true}],
	"blocked_links": [], "blocked_links_total": 0, "macros_blocked": false, "hidden_slides_left_out": 0}`

// BenchmarkListCost measures what the indexes of lists cost.
func BenchmarkListCost(b *testing.B) {
	with := postgrestest.Open(b, postgrestest.Config(testbench.New(b)))
	settings := postgrestest.Config(testbench.New(b))
	without := postgrestest.Open(b, settings)
	connection := postgrestest.Connect(b, settings)
	for _, index := range listIndexes {
		_, err := connection.Exec(b.Context(), "DROP INDEX "+index)
		require.NoError(b, err)
	}
	for _, size := range []int{16, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { storetest.BenchmarkCost(b, with, without, size) })
	}
}
