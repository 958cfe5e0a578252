package libreoffice

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/services/converter/internal/phase"
)

// TestSandbox has a child try what the sandbox must prevent; see package probe.
func TestSandbox(t *testing.T) {
	t.Setenv("DOCMILL_STORE_SECRET_KEY", "secret")
	own := setupOwn(t, nil)
	i, err := own.pool.acquire(t.Context())
	require.NoError(t, err)
	defer i.release()

	request := requestFor(t, []byte("x"), "txt")
	request.Target.ID, request.Target.Extension = "probe", "probe"
	a, err := prepare(request, input{}, own.limits, 1)
	require.NoError(t, err)
	a.instance, a.steps = i, (*phase.Phases)(nil).Sequence(t.Context())
	finished, err := a.run(t.Context())
	require.NoError(t, err)
	require.Zero(t, finished.Signal)
	require.Zero(t, finished.Outcome, finished.explanation)

	content, err := os.ReadFile(a.target)
	require.NoError(t, err)
	answers, variables := map[string]string{}, []string{}
	for line := range strings.Lines(string(content)) {
		name, answer, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if name == "variable" {
			variables = append(variables, answer)
			continue
		}
		answers[name] = answer
	}
	allowed := map[string]string{
		"write inside": "done", "read a font directory": "done", "thread": "done", "read a limit": "done",
		"send itself no signal": "done", "sync nothing": "done",
		"descriptors":       "4", // three for /dev/null, and the reports
		"nice":              strconv.Itoa(max(10, niceness(t))),
		"no new privileges": "1",
		"dumpable":          "0",
	}
	for name, answer := range answers {
		if want, found := allowed[name]; found {
			require.Equal(t, want, answer, name)
			continue
		}
		require.Contains(t, []string{"EPERM", "EACCES", "ENOSYS"}, answer, name)
	}
	require.Greater(t, len(answers), 50)
	require.Equal(t, "ENOSYS", answers["clone3"], "so that the C library falls back to clone, whose flags can be filtered")
	require.NotContains(t, strings.Join(variables, " "), "DOCMILL_")
	require.NotContains(t, strings.Join(variables, " "), "secret")
	_, err = os.Stat(filepath.Join(request.Directory, "outside"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// niceness returns that of this process, which a child cannot go below.
func niceness(t *testing.T) int {
	t.Helper()
	priority, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	require.NoError(t, err)
	return 20 - priority // as the kernel returns it
}
