// Package redrive implements `docmill redrive`, which moves the dead-lettered events of a data directory back to their
// queue. No process may be using the directory.
package redrive

import (
	"context"
	"errors"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/platform/redrive"
)

// Command is `docmill redrive`.
type Command struct {
	redrive.Settings `embed:""`

	Data string `default:"~/.local/share/docmill" type:"path" placeholder:"DIR" help:"Data directory. No process may be using it. Default: ~/.local/share/docmill."`
}

// Help is shown by --help.
func (*Command) Help() string {
	return `An event is dead-lettered if it cannot be applied to its job. After the cause is fixed, for example with a newer version of
docmill, this command moves such events back; the next docmill serve applies them. An event that is moved twice has no further
effect.`
}

// Run runs the command.
func (c *Command) Run(ctx context.Context, streams *invocation.Streams) error {
	dir, err := datadir.OpenToRead(ctx, c.Data)
	if err != nil {
		return err
	}
	err = c.Settings.Run(ctx, dir.Messages.Broker("docmill redrive", nil, nil), streams.Stdout)
	return errors.Join(err, dir.Close())
}
