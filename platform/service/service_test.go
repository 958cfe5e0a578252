package service_test

import (
	"bytes"
	"context"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/service"
)

type settings struct {
	service.Settings `embed:""`
	Greeting         string `default:"hello" help:"What to say."`
}

func about() service.About {
	return service.About{Name: "docmill-test", Description: "A test.", AdminAddress: "127.0.0.1:1"}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

func TestBadSettingStopsTheStart(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	code := service.Main(about(), &settings{}, config.Source{Args: []string{"--drain-timeout=-1s"}, Stdout: &stderr}, &stderr,
		func(service.Process) (service.Assembly, error) { panic("must not start") })
	require.Equal(t, 2, code)
	require.Contains(t, stderr.String(), "docmill-test: ")
	require.Contains(t, stderr.String(), "drain-timeout")
}

func TestHealthcheckOfAnUnknownEndpoint(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	code := service.Main(about(), &settings{}, config.Source{Args: []string{"healthcheck", "metrics"}, Stdout: &stderr}, &stderr, nil)
	require.Equal(t, 2, code)
	require.Contains(t, stderr.String(), "startupz")
}

func TestHealthcheckWithoutAService(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	code := service.Main(about(), &settings{}, config.Source{Args: []string{"healthcheck"}, Stdout: &stderr}, &stderr, nil)
	require.Equal(t, 1, code)
	require.Contains(t, stderr.String(), "127.0.0.1:1")
}

// One test for the whole life, because the signal reaches every service of this process.
func TestLife(t *testing.T) { //nolint:paralleltest // see above
	address := freeAddress(t)
	arguments := []string{"--admin-address", address, "--log-level=error"}
	var s settings
	var healthcheck int
	part := host.Component{Name: "greeter", Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		var stderr bytes.Buffer
		for _, check := range [][]string{{"healthcheck"}, {"healthcheck", "healthz"}} {
			healthcheck += service.Main(about(), &settings{}, config.Source{Args: append(check, arguments...), Stdout: &stderr}, &stderr, nil)
		}
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-drain
		return nil
	}}
	var stderr bytes.Buffer
	code := service.Main(about(), &s, config.Source{Args: arguments, Stdout: &stderr}, &stderr,
		func(process service.Process) (service.Assembly, error) {
			process.Log.Debug(s.Greeting)
			return service.Assembly{Components: []host.Component{part}}, nil
		})
	require.Zero(t, code)
	require.Zero(t, healthcheck, "the service is alive")
	require.Equal(t, "hello", s.Greeting)
}
