package system_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

func TestMain(m *testing.M) { testbench.Main(m) }

const (
	project  = "../.."
	patience = 5 * time.Minute
)

// setup builds the services and starts them on a bench.
func setup(t *testing.T, change ...func(*system.Options)) (*system.System, error) {
	t.Helper()
	bench := testbench.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	options := system.Options{Space: bench.Space, Release: system.Release{Binaries: t.TempDir()}, LogDir: t.TempDir()}
	require.NoError(t, system.Build(ctx, project, options.Binaries, system.Services()...))
	for _, f := range change {
		f(&options)
	}
	s, err := system.Start(ctx, options)
	if err == nil {
		t.Cleanup(func() { require.NoError(t, s.Stop(context.WithoutCancel(t.Context()))) })
	}
	return s, err
}

func TestServicesRestartOnTheSamePorts(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	taken := listener.Addr().(*net.TCPAddr).Port

	s, err := setup(t, func(o *system.Options) { o.GatewayPort = taken })
	require.NoError(t, err)
	require.NotContains(t, s.URL(), listener.Addr().String())
	response, err := http.Get(s.URL() + "/v1/formats")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	for _, one := range s.Services() {
		before := one.AdminURL + one.URL
		require.NoError(t, one.Kill())
		require.Error(t, one.Ready(t.Context()))
		require.NoError(t, one.Start(t.Context()))
		require.NoError(t, one.Ready(t.Context()))
		require.Equal(t, before, one.AdminURL+one.URL)
	}
}

func TestFailedStartReportsTheReason(t *testing.T) {
	t.Parallel()
	_, err := setup(t, func(o *system.Options) {
		o.Env = map[string][]string{system.Converter: {"DOCMILL_NO_SUCH_SETTING=1"}}
	})
	require.ErrorContains(t, err, "converter ended")
	require.ErrorContains(t, err, "DOCMILL_NO_SUCH_SETTING")
}

func TestFailedBuildReportsTheProgram(t *testing.T) {
	t.Parallel()
	err := system.Build(t.Context(), filepath.Join(t.TempDir(), "nowhere"), t.TempDir(), system.Services()...)
	require.ErrorContains(t, err, "build docmill-status")
	require.ErrorContains(t, err, "no such file")
}
