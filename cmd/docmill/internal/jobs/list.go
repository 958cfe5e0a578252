package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"text/tabwriter"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
)

// List is `docmill jobs list`.
type List struct {
	Status []string `placeholder:"STATUS" enum:"queued,running,succeeded,failed,canceled" help:"Only jobs with this status: queued, running, succeeded, failed or canceled. Repeat the flag for several."` //nolint:lll // kong's tags cannot be wrapped
	Tag    string   `help:"Only jobs with exactly this tag."`
	After  moment   `placeholder:"TIME" help:"Only jobs that were submitted at this time or later, such as 2026-11-20T10:00:00Z, or 24h for the last day."`
	Before moment   `placeholder:"TIME" help:"Only jobs that were submitted before this time."`
	Limit  int      `short:"n" default:"20" placeholder:"N" help:"The maximum number of jobs; 0 for all. Default: 20."`
	Server string   `default:"${default_server}" placeholder:"URL" help:"The Docmill server. Default: ${default_server}."`
	JSON   bool     `name:"json" help:"Print each job as JSON, each on one line."`
}

// Help is shown by --help.
func (*List) Help() string {
	return `Lists the jobs of a server, newest first. The server must allow it (docmill serve --allow-listing).

Exit codes: 0 the jobs were listed, even if there are none, 1 they were not, 3 the server cannot be used.

Examples:

    docmill jobs list --status failed --after 24h
    docmill jobs list --tag nightly --limit 0 --json | jq -r .id`
}

// Validate checks the limit.
func (c *List) Validate() error {
	if c.Limit < 0 {
		return fmt.Errorf("--limit must be 0 or more, not %d", c.Limit)
	}
	return nil
}

// Run runs the command.
func (c *List) Run(ctx context.Context, streams *invocation.Streams) error {
	filter := client.Filter{Tag: c.Tag, CreatedAfter: time.Time(c.After), CreatedBefore: time.Time(c.Before)}
	for _, status := range c.Status {
		filter.Statuses = append(filter.Statuses, client.Status(status))
	}
	return of{Server: c.Server}.call(func(from *client.Client) error {
		jobs := limited(from.List(ctx, filter), c.Limit)
		if c.JSON {
			return printLines(streams, jobs)
		}
		return printTable(streams, jobs)
	})
}

// limited ends a list after n jobs; 0 means no limit.
func limited(jobs iter.Seq2[client.Job, error], n int) iter.Seq2[client.Job, error] {
	return func(yield func(client.Job, error) bool) {
		listed := 0
		for job, err := range jobs {
			listed++
			if !yield(job, err) || listed == n {
				return
			}
		}
	}
}

func printLines(streams *invocation.Streams, jobs iter.Seq2[client.Job, error]) error {
	encoder := json.NewEncoder(streams.Stdout)
	for job, err := range jobs {
		if err == nil {
			err = encoder.Encode(job)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// printTable prints the jobs as a table. Its columns are as wide as those of all jobs, so it appears at the end.
func printTable(streams *invocation.Streams, jobs iter.Seq2[client.Job, error]) error {
	table := tabwriter.NewWriter(streams.Stdout, 0, 0, 2, ' ', 0)
	var failure error
	listed := 0
	for job, err := range jobs {
		if failure = err; err != nil {
			break
		}
		if listed++; listed == 1 {
			fmt.Fprintln(table, "JOB\tSTATUS\tSUBMITTED\tTO\tDOCUMENT\tTAG")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", progress.Printable(job.ID), progress.Printable(string(job.Status)),
			job.CreatedAt.Local().Format(time.DateTime), progress.Printable(job.Target.Format), progress.Printable(job.Source.Filename), progress.Printable(job.Tag))
	}
	return errors.Join(failure, table.Flush())
}

// moment is a time, or how long ago it was.
type moment time.Time

// UnmarshalText parses a time as in RFC 3339, or a duration.
func (m *moment) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil && ago >= 0 {
		*m = moment(time.Now().Add(-ago))
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time such as 2026-11-20T10:00:00Z or 24h", text)
	}
	*m = moment(t)
	return nil
}
