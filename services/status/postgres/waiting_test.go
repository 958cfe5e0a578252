package postgres_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// TestOldestWaitingReadsAnIndex: every replica asks every few seconds, and finished jobs are never deleted.
func TestOldestWaitingReadsAnIndex(t *testing.T) {
	t.Parallel()
	config := postgrestest.Config(testbench.New(t))
	store, err := postgres.Open(config, zap.NewNop())
	require.NoError(t, err)
	storetest.Run(t, store.Run)
	storetest.WaitReady(t, store)
	connection := postgrestest.Connect(t, config)
	_, err = connection.Exec(t.Context(), `INSERT INTO jobs (id, status, requested_at)
		SELECT gen_random_uuid(), CASE WHEN n % 100 = 0 THEN 'queued' ELSE 'succeeded' END, now() FROM generate_series(1, 20000) AS n`)
	require.NoError(t, err)
	_, err = connection.Exec(t.Context(), "ANALYZE jobs")
	require.NoError(t, err)

	text, err := os.ReadFile("queries.sql")
	require.NoError(t, err)
	query := regexp.MustCompile(`(?s)-- name: GetOldestWaiting :one\n(.*?;)`).FindSubmatch(text)
	require.NotNil(t, query)
	rows, err := connection.Query(t.Context(), "EXPLAIN "+string(query[1]))
	require.NoError(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, strings.Join(plan, "\n"), "Index Scan using jobs_unfinished")
}
