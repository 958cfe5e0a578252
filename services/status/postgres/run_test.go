package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
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
