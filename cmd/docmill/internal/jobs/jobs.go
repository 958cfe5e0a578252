// Package jobs implements `docmill jobs`, `docmill result` and `docmill formats`, which ask a server.
package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
	"github.com/docmill/docmill/cmd/docmill/internal/resultfile"
)

// Commands are those of `docmill jobs`.
type Commands struct {
	Show   Show   `cmd:"" help:"Show the state of a job."`
	Wait   Wait   `cmd:"" help:"Wait until a job has ended, and show it."`
	Events Events `cmd:"" help:"Show each change of a job until it has ended."`
	List   List   `cmd:"" help:"List jobs, newest first."`
	Cancel Cancel `cmd:"" help:"Cancel jobs."`
	Retry  Retry  `cmd:"" help:"Convert the documents of failed or canceled jobs again."`
	Remove Remove `cmd:"" name:"rm" help:"Delete jobs with their documents and results."`
}

// of selects a job of a server.
type of struct {
	ID     string `arg:"" name:"id" help:"The id of the job."`
	Server string `default:"${default_server}" placeholder:"URL" help:"The Docmill server. Default: ${default_server}."`
}

// Validate checks the id.
func (o *of) Validate() error { return invocation.CheckJobIDs(o.ID) }

// call calls a server, and returns its errors as those that end a command.
func (o of) call(f func(from *client.Client) error) error {
	from, err := remote.New(o.Server)
	if err != nil {
		return err
	}
	err = f(from)
	if _, ended := errors.AsType[*invocation.Error](err); err == nil || ended {
		return err
	}
	fault := remote.Explain(err)
	if fault.Code == remote.CodeNetwork {
		return invocation.Errorf(invocation.Unavailable, "%w [%s]", fault, fault.Code)
	}
	_, problem := errors.AsType[*client.Problem](err)
	_, failure := errors.AsType[*client.JobError](err)
	if problem || failure {
		return fmt.Errorf("%w [%s]", fault, fault.Code)
	}
	return err // of this machine
}

// Show is `docmill jobs show`.
type Show struct {
	of   `embed:""`
	JSON bool `name:"json" help:"Print the job as JSON."`
}

// Help is shown by --help.
func (*Show) Help() string {
	return `Exit codes: 0 the job was found, 1 it was not, 2 the command line is wrong, 3 the server cannot be used.`
}

// Run runs the command.
func (c *Show) Run(ctx context.Context, streams *invocation.Streams) error {
	return c.call(func(from *client.Client) error {
		job, err := from.Job(ctx, c.ID)
		if err != nil {
			return err
		}
		return show(streams.Stdout, job, c.JSON)
	})
}

// Wait is `docmill jobs wait`.
type Wait struct {
	of      `embed:""`
	Timeout time.Duration `placeholder:"TIME" help:"Stop waiting after this time, such as 90s or 10m. Default: wait until the job has ended."`
	JSON    bool          `name:"json" help:"Print the job as JSON."`
}

// Help is shown by --help.
func (*Wait) Help() string {
	return `Exit codes: 0 the job has succeeded, 1 it has failed, was not found or has not ended in time, 2 the command line is wrong, 3 the server cannot be used.

Example:

    docmill jobs wait --timeout 10m 01a1ff70-0e8f-7d2b-b4a5-0c3c1f5a1c11 && docmill result 01a1ff70-0e8f-7d2b-b4a5-0c3c1f5a1c11`
}

// Run runs the command.
func (c *Wait) Run(ctx context.Context, streams *invocation.Streams) error {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, invocation.Errorf(invocation.Failed, "the job has not ended within %s", c.Timeout))
		defer cancel()
	}
	return c.call(func(from *client.Client) error {
		job, err := from.Job(ctx, c.ID)
		if err == nil {
			job, err = from.Wait(ctx, job)
		}
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		if job.Ended() {
			if err := show(streams.Stdout, job, c.JSON); err != nil {
				return err
			}
			return invocation.Exit(outcome(job))
		}
		return err
	})
}

// outcome returns the exit code for a job that has ended.
func outcome(job client.Job) invocation.Code {
	if job.Err() != nil {
		return invocation.Failed
	}
	return invocation.Success
}

// Events is `docmill jobs events`.
type Events struct {
	of   `embed:""`
	JSON bool `name:"json" help:"Print each state as JSON, each on one line."`
}

// Help is shown by --help.
func (*Events) Help() string {
	return `Exit codes: 0 the job has succeeded, 1 it has failed or was not found, 2 the command line is wrong, 3 the server cannot be used.`
}

// Run runs the command.
func (c *Events) Run(ctx context.Context, streams *invocation.Streams) error {
	return c.call(func(from *client.Client) error {
		var last client.Job
		for job, err := range from.Events(ctx, c.ID) {
			if err != nil {
				return err
			}
			last = job
			if c.JSON {
				err = json.NewEncoder(streams.Stdout).Encode(job)
			} else {
				_, err = fmt.Fprintln(streams.Stdout, time.Now().Format(time.TimeOnly), progress.Printable(state(job)))
			}
			if err != nil {
				return err
			}
		}
		return invocation.Exit(outcome(last))
	})
}

// state describes the state of a job in a line.
func state(job client.Job) string {
	text := string(job.Status)
	if job.Progress != nil {
		text += fmt.Sprintf(", %s, %d %%", job.Progress.Phase, job.Progress.Percent)
	}
	if err := job.Err(); err != nil {
		text += ": " + remote.Explain(err).Error()
	}
	return text
}

// show prints a job.
func show(out io.Writer, job client.Job, asJSON bool) error {
	if asJSON {
		return invocation.PrintJSON(out, job)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, value any) {
		fmt.Fprintf(table, "%s\t%s\n", progress.Printable(name), progress.Printable(fmt.Sprint(value)))
	}
	row("job", job.ID)
	row("state", state(job))
	row("document", fmt.Sprintf("%s (%s, %d bytes)", job.Source.Filename, job.Source.ContentType, job.Source.Size))
	row("to", job.Target.Format)
	for name, value := range job.Target.Options {
		row("option "+name, value)
	}
	row("submitted", job.CreatedAt.Local().Format(time.DateTime))
	if job.Generation > 0 {
		row("retried", job.Generation)
	}
	if job.FinishedAt != nil {
		row("ended", job.FinishedAt.Local().Format(time.DateTime))
	}
	if r := job.Result; r != nil {
		row("result", fmt.Sprintf("%s (%s, %d bytes)", r.Filename, r.ContentType, r.Size))
	}
	if job.ExpiresAt != nil && job.Ended() {
		row("deleted on", job.ExpiresAt.Local().Format(time.DateTime))
	}
	for _, warning := range job.Warnings {
		row(cmp.Or(string(warning.Severity), "warning"), warning.Detail)
	}
	if job.Tag != "" {
		row("tag", job.Tag)
	}
	return table.Flush()
}

// Result is `docmill result`.
type Result struct {
	of     `embed:""`
	Output string `short:"o" placeholder:"FILE" help:"Where the result is stored; - is the standard output. Default: the name of the document with the new extension, in this directory."`
	Force  bool   `short:"f" help:"Replace the file if it exists."`
}

// Help is shown by --help.
func (*Result) Help() string {
	return `Exit codes: 0 the result was downloaded, 1 it was not, 2 the command line is wrong, 3 the server cannot be used.

Example:

    docmill result 01a1ff70-0e8f-7d2b-b4a5-0c3c1f5a1c11 -o deck.pdf`
}

// Run runs the command.
func (c *Result) Run(ctx context.Context, streams *invocation.Streams) error {
	return c.call(func(from *client.Client) error {
		job, err := from.Job(ctx, c.ID)
		if err == nil {
			err = job.Err()
		}
		if err != nil {
			return err
		}
		if job.Result == nil {
			return fmt.Errorf("the job is %s and has no result yet: docmill jobs wait %s", job.Status, job.ID)
		}
		const stdout = "-"
		if c.Output == stdout {
			return from.Download(ctx, job, streams.Stdout)
		}
		path := c.Output
		if path == "" {
			path = localName(job.Result.Filename)
		}
		if err := resultfile.Store(ctx, from, job, path, c.Force); err != nil {
			return err
		}
		fmt.Fprintf(streams.Stdout, "%s (%s)\n", progress.Printable(path), progress.Plural(int(job.Result.Size), "byte"))
		return nil
	})
}

// localName returns a name from a server as one in this directory that is not hidden.
func localName(name string) string {
	name = strings.TrimLeft(strings.Map(func(r rune) rune {
		if r == '/' || r == os.PathSeparator || r < ' ' {
			return '_'
		}
		return r
	}, name), ".")
	if name == "" {
		return "result"
	}
	return name
}
