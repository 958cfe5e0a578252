// Package observability tests what operators see of a running Docmill, in both editions: traces, metrics and logs; and the
// rules and dashboards in deploy/observability that are made from the metrics.
package observability_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

const (
	project = "../.."
	// patience limits a test. It does not measure speed.
	patience = 10 * time.Minute
)

func TestMain(m *testing.M) { testbench.Main(m) }

// binaries builds all programs, once per test process, and returns their directory.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "docmill-observability-")
	if err != nil {
		return "", err
	}
	return dir, system.Build(context.Background(), project, dir, append(system.Services(), system.Single())...)
})

// installation is a running Docmill.
type installation struct {
	*system.System

	ctx  context.Context
	logs string
	// client submits documents.
	client *client.Client
}

// start starts one of the editions with these settings for each of its services.
func start(t *testing.T, embedded bool, settings ...string) *installation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	built, err := binaries()
	require.NoError(t, err)
	options := system.Options{Release: system.Release{Binaries: built}, LogDir: t.TempDir(), Env: map[string][]string{}}
	for _, name := range []string{system.Gateway, system.Converter, system.Status, system.Embedded} {
		options.Env[name] = settings
	}
	run := system.Start
	if embedded {
		options.Data, run = filepath.Join(t.TempDir(), "data"), system.StartEmbedded
	} else {
		options.Space = testbench.New(t).Space
	}
	s, err := run(ctx, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.WithoutCancel(ctx))) })
	return &installation{System: s, ctx: ctx, logs: options.LogDir, client: client.New(s.URL())}
}

func document(name string) string { return filepath.Join(project, "testdata", name) }
