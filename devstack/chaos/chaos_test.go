package chaos_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/chaos"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/system"
)

const project = "../.."

// soon are faults that are over soon. The start of a node of RabbitMQ takes 5 s and more.
var soon = regexp.MustCompile(`^SIG\w+ (gateway|converter|status)|^(cut|flapping|half-open)|PostgreSQL read-only|queue limit|full disk`)

// TestShort injects as many faults as fit into a short time. `make chaos` injects all of them.
func TestShort(t *testing.T) {
	t.Parallel()
	_, err := install.Ensure(t.Context(), zap.NewNop(), install.Services()...)
	require.NoError(t, err)
	dir, err := chaos.MakeDir()
	require.NoError(t, err)
	binaries := filepath.Join(dir, "bin")
	require.NoError(t, system.Build(t.Context(), project, binaries, system.Services()...))
	report, err := chaos.Run(t.Context(), chaos.Options{
		Seed: 9, Duration: 20 * time.Second, Settle: 2 * time.Minute, Faults: soon, Project: project, Binaries: binaries, Dir: dir, Output: t.Output(),
	})
	if report != nil {
		report.Print(t.Output())
	}
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir)) // the logs remain after a failure
}
