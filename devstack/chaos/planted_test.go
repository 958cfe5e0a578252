//go:build planted

package chaos_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/chaos"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/system"
)

// defect is a patch of Docmill that plants a bug, which the harness must detect. Its description has the fields Faults and
// Verdict, or Test if only the tests of a package can detect the bug. With the field Single, the harness must detect it in the single
// process too, under the faults that this field names.
type defect struct {
	path   string
	fields map[string]string
	files  []string
}

// TestPlanted is run by `make chaos-planted`. It takes 1 to 5 minutes for each bug.
func TestPlanted(t *testing.T) {
	_, err := install.Ensure(t.Context(), zap.NewNop(), install.Services()...)
	require.NoError(t, err)
	patches, err := filepath.Glob("testdata/planted/*.patch")
	require.NoError(t, err)
	require.NotEmpty(t, patches)
	for _, path := range patches {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".patch"), func(t *testing.T) {
			planted := read(t, path)
			t.Setenv("GOFLAGS", "-overlay="+planted.overlay(t))
			if test := planted.fields["Test"]; test != "" {
				planted.failsTest(t, test)
				return
			}
			planted.violates(t, planted.fields["Faults"], false)
			if faults := planted.fields["Single"]; faults != "" {
				planted.violates(t, faults, true)
			}
		})
	}
}

// read reads the patch in a file.
func read(t *testing.T, path string) defect {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	d := defect{fields: make(map[string]string)}
	d.path, err = filepath.Abs(path)
	require.NoError(t, err)
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		line := lines.Text()
		if file, found := strings.CutPrefix(line, "+++ b/"); found {
			d.files = append(d.files, file)
		} else if name, value, found := strings.Cut(line, ": "); found && len(d.files) == 0 {
			d.fields[name] = value
		}
	}
	return d
}

// overlay returns the path of a file that makes the go command build the project with the bug.
func (d defect) overlay(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(project)
	require.NoError(t, err)
	dir, replace := t.TempDir(), make(map[string]string)
	for _, file := range d.files {
		content, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		patched := filepath.Join(dir, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(patched), 0o700))
		require.NoError(t, os.WriteFile(patched, content, 0o600))
		replace[filepath.Join(root, file)] = patched
	}
	apply := exec.CommandContext(t.Context(), "git", "apply", d.path)
	apply.Dir = dir
	output, err := apply.CombinedOutput()
	require.NoError(t, err, "%s", output)
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	path := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(path, overlay, 0o600))
	return path
}

// failsTest checks that a test fails. arguments are those of go test.
func (d defect) failsTest(t *testing.T, arguments string) {
	t.Helper()
	test := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count=1"}, strings.Fields(arguments)...)...)
	test.Dir = project
	output, err := test.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(output), "--- FAIL")
}

// violates checks that an edition of Docmill with the bug gets the verdict under the faults.
func (d defect) violates(t *testing.T, faults string, single bool) {
	t.Helper()
	dir, err := chaos.MakeDir()
	require.NoError(t, err)
	binaries, verdict := filepath.Join(dir, "bin"), d.fields["Verdict"]
	programs := system.Services()
	if single {
		programs = []system.Program{system.Single()}
	}
	require.NoError(t, system.Build(t.Context(), project, binaries, programs...))
	report, err := chaos.Run(t.Context(), chaos.Options{
		Seed: 1, Duration: time.Minute, Settle: 3 * time.Minute, Faults: regexp.MustCompile(faults), Sought: verdict, Single: single,
		Project: project, Binaries: binaries, Dir: dir, Output: t.Output(),
	})
	if report != nil {
		report.Print(t.Output())
	}
	require.ErrorIs(t, err, chaos.ErrViolated)
	require.True(t, report.Violated(verdict), "no %s", verdict)
	require.NoError(t, os.RemoveAll(dir)) // the logs remain if the bug is not detected
}
