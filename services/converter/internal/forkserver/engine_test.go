package forkserver

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/platform/document"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

func TestFirst(t *testing.T) {
	config := Config{Timeout: 2 * time.Minute, Memory: 2 << 30, Disk: 2 << 30, RecycleAge: time.Hour, RecycleConversions: 10000, RecycleGrowth: 128 << 20}
	e, err := New(config, t.TempDir(), zaptest.NewLogger(t), prometheus.NewRegistry())
	require.NoError(t, err)
	ready, drain, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { done <- e.Run(t.Context(), func() { close(ready) }, drain) }()
	select {
	case <-ready:
	case err := <-done:
		require.NoError(t, err)
	}
	files, _ := filepath.Glob("/work/shared/corpus/*")
	for _, f := range files {
		info, _ := os.Stat(f)
		if info.Size() > 60000 {
			continue
		}
		format, ok := document.FormatByID(filepath.Ext(f)[1:])
		if !ok {
			continue
		}
		content, err := os.ReadFile(f)
		require.NoError(t, err)
		folder := t.TempDir()
		source := filepath.Join(folder, "document."+format.ID)
		require.NoError(t, os.WriteFile(source, content, 0o600))
		target, _ := format.Target("pdf")
		start := time.Now()
		o, err := e.Convert(t.Context(), engine.Request{Folder: folder, Source: source, Format: format, Target: target})
		t.Log(filepath.Base(f), o.Pages, err, time.Since(start))
	}
	close(drain)
	require.NoError(t, <-done)
}
