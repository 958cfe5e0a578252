package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docmill/docmill/devstack/supervisor"
	"github.com/docmill/docmill/devstack/system"
)

type downCommand struct{}

func (*downCommand) Run(ctx context.Context) error {
	dir, err := stackDir()
	if err != nil {
		return err
	}
	err = supervisor.Stop(ctx, dir)
	if errors.Is(err, supervisor.ErrNotRunning) {
		fmt.Println("Docmill is not running")
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Println("Docmill is stopped; its data remains in", dir)
	return nil
}

type statusCommand struct{}

func (*statusCommand) Run(ctx context.Context) error {
	const nothingRuns = 3 // as in systemctl status
	dir, err := stackDir()
	if err != nil {
		return err
	}
	state, err := supervisor.Read(dir)
	if errors.Is(err, supervisor.ErrNotRunning) {
		fmt.Println("Docmill is not running")
		return codeError(nothingRuns)
	}
	if err != nil {
		return err
	}
	if !state.Ready {
		fmt.Printf("Docmill is starting (supervisor %d)\n", state.PID)
		return nil
	}
	since := state.StartedAt.Format(time.DateTime)
	fmt.Printf("Docmill runs at %s (supervisor %d, since %s)\n", state.URL, state.PID, since)
	for _, service := range state.Services {
		condition := "ready"
		if err := system.Ready(ctx, service.Name, service.AdminURL); err != nil {
			condition = err.Error()
		}
		fmt.Printf("  %-10s %s  %s\n", service.Name, service.AdminURL, condition)
	}
	fmt.Printf("Logs: %s and %s\n", supervisor.LogDir(dir), supervisor.ServersLogDir(dir))
	return nil
}
