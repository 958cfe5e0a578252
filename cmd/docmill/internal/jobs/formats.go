package jobs

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/services/converter"
)

// Formats is `docmill formats`.
type Formats struct {
	Server string `placeholder:"URL" help:"Ask this Docmill server. Default: what LibreOffice on this machine can read."`
	JSON   bool   `name:"json" help:"Print the formats as JSON."`

	Engine converter.Config `embed:"" hidden:""`
}

// Help is shown by --help.
func (*Formats) Help() string {
	return `The options of a conversion are in docmill convert --help.

Exit codes: 0 the formats were listed, 3 the server or LibreOffice cannot be used.`
}

// Run runs the command.
func (c *Formats) Run(ctx context.Context, streams *invocation.Streams) error {
	formats, err := c.find(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return invocation.PrintJSON(streams.Stdout, formats)
	}
	return list(streams.Stdout, formats)
}

func (c *Formats) find(ctx context.Context) ([]client.Format, error) {
	if c.Server != "" {
		found, err := remote.Reach(ctx, c.Server)
		return found.Formats, err
	}
	readable, err := converter.Formats(c.Engine)
	if err != nil {
		return nil, invocation.EngineUnavailable(err)
	}
	var formats []client.Format
	for _, f := range readable {
		formats = append(formats, described(f))
	}
	return formats, nil
}

// described returns a format as the API describes it.
func described(f format.Format) client.Format {
	d := client.Format{Format: f.ID, Title: f.Title, MediaType: f.MediaType, Family: string(f.Family), Extensions: f.Extensions()}
	for t := range f.Targets() {
		d.Targets = append(d.Targets, client.TargetFormat{Format: t.ID, Title: t.Title, MediaType: t.MediaType})
	}
	return d
}

// list prints a table, with the formats that can be converted to the same ones together.
func list(out io.Writer, formats []client.Format) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	family := ""
	for _, f := range formats {
		if f.Family != family {
			family = f.Family
			var targets []string
			for _, t := range f.Targets {
				targets = append(targets, t.Format)
			}
			fmt.Fprintf(table, "%s, to %s:\n", strings.ToUpper(family[:1])+family[1:], strings.Join(targets, ", "))
		}
		fmt.Fprintf(table, "  %s\t%s\n", strings.Join(f.Extensions, ", "), f.Title)
	}
	return table.Flush()
}
