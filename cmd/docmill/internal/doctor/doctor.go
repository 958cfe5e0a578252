// Package doctor implements `docmill doctor`, which examines this machine and servers.
package doctor

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/services/converter"
)

// Command is `docmill doctor`.
//
//nolint:lll // kong's tags cannot be wrapped
type Command struct {
	Server []string `placeholder:"URL" sep:"none" help:"Examine this Docmill server too. Can be given several times."`
	Data   string   `default:"~/.local/share/docmill" type:"path" placeholder:"DIR" help:"Data directory of docmill serve. Default: ~/.local/share/docmill."`
	JSON   bool     `name:"json" help:"Print the findings as JSON."`

	Engine converter.Config `embed:"" group:"Conversion on this machine:"`
}

// Help is shown by --help.
func (*Command) Help() string {
	return `Examines LibreOffice, by converting a small document with it, the other programs, fonts, the sandbox, the data directory and
servers, and says how to fix problems.

Exit codes: 0 nothing is broken (there may be warnings), 1 something is.

Examples:

    docmill doctor
    docmill doctor --server https://docmill.example.com --json`
}

// Run runs the command.
func (c *Command) Run(ctx context.Context, streams *invocation.Streams) error {
	findings := append(converter.Examine(ctx, c.Engine), datadir.Examine(c.Data))
	for _, server := range c.Server {
		findings = append(findings, examineServer(ctx, server))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := c.print(streams.Stdout, findings); err != nil {
		return err
	}
	for _, f := range findings {
		if f.State == health.Broken {
			return invocation.Exit(invocation.Failed)
		}
	}
	return nil
}

func (c *Command) print(out io.Writer, findings []health.Finding) error {
	if c.JSON {
		return invocation.PrintJSON(out, findings)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(out, "%-8s %s: %s\n", f.State, progress.Printable(f.Part), progress.Printable(f.Detail)); err != nil {
			return err
		}
		if f.Remedy != "" {
			if _, err := fmt.Fprintf(out, "         -> %s\n", f.Remedy); err != nil {
				return err
			}
		}
	}
	return nil
}

// examineServer asks a server what it converts.
func examineServer(ctx context.Context, server string) health.Finding {
	found := health.Finding{Part: "server " + remote.Redacted(server), State: health.Broken, Remedy: "Check the URL, that Docmill runs there, and proxies and firewalls in between."}
	began := time.Now()
	formats, err := remote.Reach(ctx, server)
	if err != nil {
		found.Detail = remote.Cause(err).Error() + "."
		return found
	}
	found.State, found.Remedy = health.OK, ""
	found.Detail = fmt.Sprintf("It answered within %d ms, and converts %d formats of up to %d MiB.",
		time.Since(began).Milliseconds(), len(formats.Formats), formats.MaxUploadSize>>20)
	if version, err := remote.Version(ctx, server); err == nil {
		found.Detail += " API version " + version + "."
	}
	return found
}
