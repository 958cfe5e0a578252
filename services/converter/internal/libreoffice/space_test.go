package libreoffice

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// TestStartWaitsForSpace starts an engine while the disk is full.
func TestStartWaitsForSpace(t *testing.T) {
	t.Parallel()
	tools, err := pdf.FindTools()
	require.NoError(t, err)
	core, logs := observer.New(zap.WarnLevel)
	limits := engine.Limits{Timeout: time.Minute, Memory: 2 << 30, Disk: 2 << 30}
	e, err := New(Config{}, limits, Deps{Tools: tools, Directory: t.TempDir(), Log: zap.New(core), Metrics: prometheus.NewRegistry()})
	require.NoError(t, err)
	var full atomic.Bool
	full.Store(true)
	e.pool.space = func() error {
		if full.Load() {
			return engine.ErrNoSpace
		}
		return nil
	}
	ready, drain, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { ended <- e.Run(context.Background(), func() { close(ready) }, drain) }()
	require.Eventually(t, func() bool {
		return logs.FilterMessage("cannot start LibreOffice; waiting for free space").Len() == 1
	}, time.Minute, time.Millisecond)
	require.Error(t, e.Check(t.Context()))
	full.Store(false)
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	close(drain)
	require.NoError(t, <-ended)
}
