package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/redrive"
	"github.com/docmill/docmill/services/status"
)

// redriveCommand is `docmill-status redrive`. It accepts all settings of the service, so that it can run with the service's
// environment and file, but uses only those of the broker.
type redriveCommand struct {
	settings

	Redrive redrive.Settings `embed:""`
}

const redriveDescription = "Moves dead-lettered events back to the queue of the status service, after the cause has been fixed. " +
	"No event is lost if the command is interrupted, and an event that is moved twice has no further effect."

// runRedrive runs the command and returns the exit code: 1 if a message could not be moved, 2 if a setting is invalid.
func runRedrive(source config.Source, defaults config.Defaults) int {
	const name = status.Name + " redrive"
	var c redriveCommand
	if err := config.Parse(name, redriveDescription, &c, source, defaults); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	broker, err := rabbitmq.New(c.Broker, name, zap.NewNop(), nil)
	if err == nil {
		err = c.Redrive.Run(ctx, broker, source.Stdout)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted; run it again to continue")
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return 1
}
