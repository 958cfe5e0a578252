// Package check implements `docmill check`, which checks a data directory that is not in use.
package check

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
)

// Command is `docmill check`.
type Command struct {
	Data string `default:"~/.local/share/docmill" type:"path" placeholder:"DIR" help:"Data directory. No process may be using it. Default: ~/.local/share/docmill."`
}

// Help is shown by --help.
func (*Command) Help() string {
	return `Checks that the database is intact and that jobs and files match: every job has its files, and there are no other files. A file
whose deletion is still pending is not a problem.

Exit codes: 0 nothing is wrong, 1 something is.`
}

// Run runs the command.
func (c *Command) Run(ctx context.Context, streams *invocation.Streams) error {
	problems, err := run(ctx, c.Data, streams.Stdout)
	if err == nil && problems > 0 {
		err = invocation.Exit(invocation.Failed)
	}
	return err
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
