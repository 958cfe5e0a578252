// Package check implements `docmill check`, which checks a data directory that is not in use.
package check

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/platform/config"
)

type settings struct {
	Data string `default:"~/.local/share/docmill" type:"path" placeholder:"DIR" help:"Data directory. No process may be using it. Default: ~/.local/share/docmill."`
}

// Exit codes.
const (
	exitClean    = 0
	exitProblems = 1
	exitSettings = 2
)

// Main runs `docmill check` with these arguments and returns the process's exit code: 0 if nothing is wrong.
func Main(args []string) int {
	source := config.Process()
	source.Args = args
	// The other settings of docmill serve, in a container's environment for example, are none of this command's.
	source.Environ = slices.DeleteFunc(source.Environ, func(setting string) bool { return !strings.HasPrefix(setting, "DOCMILL_DATA=") })
	var s settings
	if err := config.Parse("docmill check", "Checks that the database of a data directory is intact and that jobs and files match.", &s, source); err != nil {
		fmt.Fprintln(os.Stderr, "docmill check:", err)
		return exitSettings
	}
	problems, err := run(context.Background(), s.Data, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docmill check:", err)
		return exitProblems
	}
	if problems > 0 {
		return exitProblems
	}
	return exitClean
}

// run prints a report and returns the number of problems.
func run(ctx context.Context, path string, out io.Writer) (int, error) {
	dir, err := datadir.OpenToRead(ctx, path)
	if err != nil {
		return 0, err
	}
	report, err := dir.Inspect(ctx)
	if closing := dir.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return 0, err
	}
	for _, status := range slices.Sorted(maps.Keys(report.Jobs)) {
		fmt.Fprintf(out, "%d jobs %s\n", report.Jobs[status], status)
	}
	fmt.Fprintf(out, "%d messages\n", report.Messages)
	for _, problem := range report.Problems {
		fmt.Fprintln(out, "problem:", problem)
	}
	fmt.Fprintf(out, "%d problems\n", len(report.Problems))
	return len(report.Problems), nil
}
