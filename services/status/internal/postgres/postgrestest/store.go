// Package postgrestest gives tests a store on a database of their own.
package postgrestest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/status/internal/postgres"
)

// Patience is how long tests wait for what has to come: long, because a machine that runs all tests at once is slow.
const Patience = time.Minute

// Config says where the bench's database is.
func Config(bench *testbench.Bench) postgres.Config {
	return postgres.Config{
		URL: bench.DatabaseURL, Password: config.NewSecret(bench.DatabasePassword), Connections: 4, ReadTimeout: 10 * time.Second,
	}
}

// Open gives a running store with its schema; it is stopped when the test ends.
func Open(tb testing.TB, config postgres.Config) *postgres.Store {
	tb.Helper()
	store, err := postgres.Open(config, zap.NewNop())
	require.NoError(tb, err)
	Run(tb, store.Run)
	require.Eventually(tb, func() bool { return store.Check(tb.Context()) == nil }, Patience, 10*time.Millisecond)
	return store
}

// Run runs a part of the service until the test ends, and then drains it.
func Run(tb testing.TB, part func(ctx context.Context, ready func(), drain <-chan struct{}) error) {
	tb.Helper()
	ready, drain, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { ended <- part(context.Background(), func() { close(ready) }, drain) }()
	<-ready
	tb.Cleanup(func() {
		close(drain)
		require.NoError(tb, <-ended)
	})
}
