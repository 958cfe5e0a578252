package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
)

// several selects jobs of a server.
type several struct {
	IDs    []string `arg:"" name:"id" help:"The ids of the jobs."`
	Server string   `default:"${default_server}" placeholder:"URL" help:"The Docmill server. Default: ${default_server}."`
}

// Validate checks all ids, before any job is changed.
func (s *several) Validate() error { return invocation.CheckJobIDs(s.IDs...) }

// each calls change for each job, and prints what has become of it. It continues after a job that cannot be changed, but stops if the
// server cannot be used.
func (s several) each(streams *invocation.Streams, change func(from *client.Client, id string) (string, error)) error {
	failed := false
	for _, id := range s.IDs {
		var done string
		err := of{ID: id, Server: s.Server}.call(func(from *client.Client) (err error) {
			done, err = change(from, id)
			return err
		})
		if ended, ok := errors.AsType[*invocation.Error](err); ok {
			return ended
		}
		if err != nil {
			failed = true
			fmt.Fprintln(streams.Stderr, progress.Printable(fmt.Sprintf("docmill: %s: %s", id, err)))
			continue
		}
		if _, err := fmt.Fprintln(streams.Stdout, progress.Printable(id+": "+done)); err != nil {
			return err
		}
	}
	if failed {
		return invocation.Exit(invocation.Failed)
	}
	return nil
}

// Cancel is `docmill jobs cancel`.
type Cancel struct {
	several `embed:""`
}

// Help is shown by --help.
func (*Cancel) Help() string {
	return `A running conversion is stopped within about a second. Canceling a job twice is not an error.

Exit codes: 0 all jobs are canceled, 1 some had ended or were not found, 2 the command line is wrong, 3 the server cannot be used.

Example:

    docmill jobs list --status queued --tag nightly --limit 0 --json | jq -r .id | xargs -r docmill jobs cancel`
}

// Run runs the command.
func (c *Cancel) Run(ctx context.Context, streams *invocation.Streams) error {
	return c.each(streams, func(from *client.Client, id string) (string, error) {
		job, err := from.Cancel(ctx, id)
		return string(job.Status), err
	})
}

// Retry is `docmill jobs retry`.
type Retry struct {
	several `embed:""`
}

// Help is shown by --help.
func (*Retry) Help() string {
	return `Converts the documents of failed or canceled jobs again, with the same options, as long as the server still has the documents.

Exit codes: 0 all jobs were queued again, 1 some were not, 2 the command line is wrong, 3 the server cannot be used.

Example:

    docmill jobs retry 01a1ff70-0e8f-7d2b-b4a5-0c3c1f5a1c11 && docmill jobs wait 01a1ff70-0e8f-7d2b-b4a5-0c3c1f5a1c11`
}

// Run runs the command.
func (c *Retry) Run(ctx context.Context, streams *invocation.Streams) error {
	return c.each(streams, func(from *client.Client, id string) (string, error) {
		job, err := from.Retry(ctx, id)
		return string(job.Status), err
	})
}

// Remove is `docmill jobs rm`.
type Remove struct {
	several `embed:""`
}

// Help is shown by --help.
func (*Remove) Help() string {
	return `Deletes jobs with their documents and results from the server. Jobs that have not ended are canceled. This cannot be undone.

Exit codes: 0 all jobs are deleted, 1 some were not found, 2 the command line is wrong, 3 the server cannot be used.`
}

// Run runs the command.
func (c *Remove) Run(ctx context.Context, streams *invocation.Streams) error {
	return c.each(streams, func(from *client.Client, id string) (string, error) {
		return "deleted", from.Delete(ctx, id)
	})
}
