package postgres_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/tern/v2/migrate"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// TestAsynchronousStandbyIsReported connects as a standby does, with a role whose details the store's role cannot see.
func TestAsynchronousStandbyIsReported(t *testing.T) {
	t.Parallel()
	bench := testbench.NewPrivate(t)
	warnings := func() int {
		core, logs := observer.New(zap.WarnLevel)
		store, err := postgres.Open(postgrestest.Config(bench), zap.New(core))
		require.NoError(t, err)
		storetest.Run(t, store.Run)
		storetest.WaitReady(t, store)
		return logs.FilterMessageSnippet("none of them is synchronous").Len()
	}
	require.Zero(t, warnings())

	settings, err := pgconn.ParseConfig(bench.DatabaseURL)
	require.NoError(t, err)
	settings.User, settings.Password = "postgres", bench.Servers.PostgreSQL.AdminPassword
	settings.RuntimeParams["replication"] = "true"
	standby, err := pgconn.ConnectConfig(t.Context(), settings)
	require.NoError(t, err)
	t.Cleanup(func() { _ = standby.Close(t.Context()) })
	require.Equal(t, 1, warnings())
}

// TestMigrationDoesNotBlockPollsBehindBackup migrates while a transaction has locked the jobs as pg_dump does. The first missing
// migration creates a table, and the next one alters the jobs.
func TestMigrationDoesNotBlockPollsBehindBackup(t *testing.T) {
	t.Parallel()
	config := postgrestest.Config(testbench.New(t))
	replica := postgrestest.Connect(t, config) // of an earlier version
	migrator, err := migrate.NewMigrator(t.Context(), replica, "public.schema_version")
	require.NoError(t, err)
	require.NoError(t, migrator.LoadMigrations(os.DirFS("migrations")))
	require.NoError(t, migrator.MigrateTo(t.Context(), 3))
	id := uuid.New()
	_, err = replica.Exec(t.Context(), "INSERT INTO jobs (id) VALUES ($1)", id)
	require.NoError(t, err)

	backup, err := postgrestest.Connect(t, config).Begin(t.Context())
	require.NoError(t, err)
	_, err = backup.Exec(t.Context(), "LOCK TABLE jobs IN ACCESS SHARE MODE")
	require.NoError(t, err)
	store, err := postgres.Open(config, zap.NewNop())
	require.NoError(t, err)
	storetest.Run(t, store.Run)
	inspector := postgrestest.Connect(t, config)
	for range 2 { // attempts
		require.Eventually(t, func() bool { return waitsForJobs(t, inspector) }, storetest.Patience, time.Millisecond)
		poll, cancel := context.WithTimeout(t.Context(), storetest.Patience)
		var status string
		err = replica.QueryRow(poll, "SELECT status FROM jobs WHERE id = $1", id).Scan(&status)
		cancel()
		require.NoError(t, err, "a poll waits behind the migration")
	}
	require.Error(t, store.Check(t.Context()))

	require.NoError(t, backup.Commit(t.Context()))
	storetest.WaitReady(t, store)
	current, err := migrator.GetCurrentVersion(t.Context())
	require.NoError(t, err)
	require.Len(t, migrator.Migrations, int(current))
}

// waitsForJobs reports whether a migration waits for the lock on the table of the jobs.
func waitsForJobs(t *testing.T, connection *pgx.Conn) (waits bool) {
	t.Helper()
	err := connection.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation = 'jobs'::regclass)`).Scan(&waits)
	require.NoError(t, err)
	return waits
}
