package main

import (
	"context"
	"errors"
	"io"

	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/redrive"
	"github.com/docmill/docmill/services/status"
)

const (
	redriveName        = status.Name + " redrive"
	redriveDescription = "Moves dead-lettered events back to the queue of the status service, after the cause has been fixed. " +
		"No event is lost if the command is interrupted, and an event that is moved twice has no further effect."
)

// redriveCommand is `docmill-status redrive`. It accepts all settings of the service, so that it can run with the service's
// environment and file, but uses only those of the broker.
type redriveCommand struct {
	settings

	Redrive redrive.Settings `embed:""`
}

// run moves the messages and writes a line for each to out.
func (c *redriveCommand) run(ctx context.Context, out io.Writer) error {
	broker, err := rabbitmq.New(c.Broker, redriveName, zap.NewNop(), nil)
	if err != nil {
		return err
	}
	if err = c.Redrive.Run(ctx, broker, out); errors.Is(err, context.Canceled) {
		return errors.New("interrupted; run it again to continue")
	}
	return err
}
