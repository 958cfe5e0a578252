package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/testbench"
)

type runCommand struct {
	Durable bool     `help:"Let PostgreSQL wait for the disk (fsync), as in production. Tests do not need it."`
	Command []string `arg:"" help:"Command and its arguments, after --."`
}

func (c *runCommand) Run(ctx context.Context, log *zap.Logger) error {
	if os.Getenv(testbench.ConnectionVariable) != "" { // use the servers of a surrounding run
		return c.run(ctx, os.Environ())
	}
	if _, err := install.Ensure(ctx, log, install.All()...); err != nil {
		return err
	}
	shared, err := servers.Start(ctx, servers.Options{Durable: c.Durable, Log: log})
	if err != nil {
		return fmt.Errorf("start servers: %w", err)
	}
	connection := filepath.Join(shared.Dir(), "connection.json")
	err = testbench.WriteConnection(connection, shared.Connection())
	if err == nil {
		err = c.run(ctx, append(os.Environ(), testbench.ConnectionVariable+"="+connection))
	}
	const stopTimeout = 30 * time.Second
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := shared.Stop(stopping); stopErr != nil {
		fmt.Fprintln(os.Stderr, "devstack: stop the servers:", stopErr)
	}
	return err
}

// run runs the command in the foreground. The terminal sends interrupts to the command too, which has time to end.
func (c *runCommand) run(ctx context.Context, env []string) error {
	command := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	command.Env = env
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	const grace = 20 * time.Second
	command.WaitDelay = grace
	if err := command.Run(); err != nil {
		return codeOf(fmt.Errorf("run %s: %w", c.Command[0], err))
	}
	return nil
}

type installCommand struct{}

func (*installCommand) Run(ctx context.Context, log *zap.Logger) error {
	tools, err := install.Ensure(ctx, log, install.All()...)
	if err != nil {
		return err
	}
	fmt.Println("RabbitMQ    ", tools.RabbitMQServer)
	fmt.Println("PostgreSQL  ", tools.PostgreSQLBin)
	fmt.Println("MinIO       ", tools.MinIO)
	fmt.Println("LibreOffice ", tools.Soffice)
	fmt.Println("poppler     ", tools.Pdfinfo)
	fmt.Println("qpdf        ", tools.Qpdf)
	fmt.Println("WebP        ", tools.Cwebp)
	fmt.Println("Chromium    ", tools.Chromium)
	return nil
}
