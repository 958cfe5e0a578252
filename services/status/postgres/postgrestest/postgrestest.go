// Package postgrestest opens PostgreSQL job stores for tests.
package postgrestest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres"
)

// Config returns the settings for the bench's database.
func Config(bench *testbench.Bench) postgres.Config {
	return postgres.Config{
		URL: bench.DatabaseURL, Password: config.NewSecret(bench.DatabasePassword),
		Connections: 4, ReadTimeout: 10 * time.Second,
	}
}

// Open returns a ready store, which is stopped at the end of the test. It has the audiences.
func Open(tb testing.TB, config postgres.Config, audiences ...jobstore.Audience) *postgres.Store {
	tb.Helper()
	store, err := postgres.Open(config, zap.NewNop())
	require.NoError(tb, err)
	for _, audience := range audiences {
		store.Notify(audience)
	}
	storetest.Run(tb, store.Run)
	storetest.WaitReady(tb, store)
	return store
}

// Connect returns a connection to the database for the test.
func Connect(tb testing.TB, config postgres.Config) *pgx.Conn {
	tb.Helper()
	settings, err := pgx.ParseConfig(config.URL)
	require.NoError(tb, err)
	settings.Password = config.Password.Reveal()
	connection, err := pgx.ConnectConfig(tb.Context(), settings)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = connection.Close(tb.Context()) })
	return connection
}

// Implementation returns the implementation for the conformance suite.
func Implementation() storetest.Implementation {
	return storetest.Implementation{Replicas: true, New: func(tb testing.TB) storetest.Database {
		tb.Helper()
		return database{Config(testbench.New(tb))}
	}}
}

type database struct{ config postgres.Config }

func (d database) Open(tb testing.TB) jobstore.Store {
	tb.Helper()
	store, err := postgres.Open(d.config, zap.NewNop())
	require.NoError(tb, err)
	return store
}

func (d database) Backdate(tb testing.TB, by time.Duration, ids ...uuid.UUID) {
	tb.Helper()
	_, err := Connect(tb, d.config).Exec(tb.Context(),
		"UPDATE jobs SET first_seen_at = first_seen_at - $1::interval WHERE id = ANY($2)", by, ids)
	require.NoError(tb, err)
}

func (d database) SetClock(tb testing.TB, by time.Duration) {
	tb.Helper()
	_, err := Connect(tb, d.config).Exec(tb.Context(), `UPDATE observed_clock SET seen_at = seen_at - $1::interval,
		held_until = held_until - $1::interval, jumped_at = jumped_at - $1::interval, trusted_at = trusted_at - $1::interval`, by)
	require.NoError(tb, err)
}
