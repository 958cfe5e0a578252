// Command docmill converts office documents: on this machine, or with a server, which `docmill serve` is.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/docmill/docmill/cmd/docmill/internal/check"
	"github.com/docmill/docmill/cmd/docmill/internal/completion"
	"github.com/docmill/docmill/cmd/docmill/internal/convert"
	"github.com/docmill/docmill/cmd/docmill/internal/doctor"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/jobs"
	"github.com/docmill/docmill/cmd/docmill/internal/manual"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
	"github.com/docmill/docmill/cmd/docmill/internal/redrive"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
	"github.com/docmill/docmill/cmd/docmill/internal/serve"
	"github.com/docmill/docmill/cmd/docmill/internal/webhooks"
	"github.com/docmill/docmill/platform/buildinfo"
	"github.com/docmill/docmill/platform/config"
)

// commands are the program's commands.
type commands struct {
	Convert    convert.Command   `cmd:"" help:"Convert documents, on this machine or with a server."`
	Jobs       jobs.Commands     `cmd:"" help:"Show, list, cancel, retry and delete jobs of a server, or wait for them."`
	Result     jobs.Result       `cmd:"" help:"Download the result of a job of a server."`
	Formats    jobs.Formats      `cmd:"" help:"List the formats, and what they can be converted to."`
	Serve      serve.Command     `cmd:"" help:"Run a Docmill server: everything in one process, on SQLite and a directory."`
	Doctor     doctor.Command    `cmd:"" help:"Examine LibreOffice, fonts, the sandbox, the data directory and servers."`
	Check      check.Command     `cmd:"" help:"Check a data directory that is not in use."`
	Redrive    redrive.Command   `cmd:"" help:"Move dead-lettered events of a data directory that is not in use back to their queue."`
	Webhooks   webhooks.Commands `cmd:"" help:"Verify webhooks, or send those of a job again."`
	Completion completion.Script `cmd:"" help:"Print a script that completes command lines in a shell."`
	Man        manual.Command    `cmd:"" help:"Print the manual page."`
	Version    kong.VersionFlag  `help:"Print the version."`

	Words completion.Words `cmd:"" name:"__complete" hidden:"" passthrough:""`
}

const description = "Docmill converts office documents to PDF and other formats."

func main() {
	code, err := run(&invocation.Streams{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, config.Process())
	if err != nil {
		for i, line := range strings.Split(err.Error(), "\n") {
			if i == 0 {
				line = "docmill: " + line
			}
			fmt.Fprintln(os.Stderr, progress.Printable(line)) // it can contain file names and what a server said
		}
	}
	os.Exit(int(code))
}

// run runs the command that the source selects, and returns the exit code and what to print.
func run(streams *invocation.Streams, source config.Source) (invocation.Code, error) {
	if len(source.Args) == 0 {
		source.Args = []string{"--help"}
	}
	given := commands{Convert: convert.Command{Options: convert.NewFlags()}}
	parsed, err := config.ParseCommands("docmill", description, &given, source, config.Defaults{
		"admin_address": serve.AdminAddress, "drain_delay": "0s", "default_server": remote.DefaultServer, "version": version(),
	})
	if err != nil {
		return invocation.Usage, err
	}
	// Only commands that take a context are ended by it: serve handles signals itself.
	ctx, stop := context.Background(), func() {}
	defer func() { stop() }()
	err = parsed.BindSingletonProvider(func() context.Context {
		ctx, stop = invocation.Interruptible() //nolint:fatcontext // it is called once
		return ctx
	})
	if err != nil {
		return invocation.Failed, err
	}
	err = parsed.Run(streams, parsed.Model)
	return invocation.CodeOf(ctx, err)
}

// version returns what the program was built from.
func version() string {
	return strings.TrimSpace("docmill " + buildinfo.Version() + " " + buildinfo.Revision())
}
