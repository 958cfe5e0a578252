// Command devstack runs Docmill, and the servers that it and its tests need, on one machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

type commands struct {
	Up        upCommand        `cmd:"" help:"Start everything in the background, wait until it is ready, and print the URL."`
	Down      downCommand      `cmd:"" help:"Stop everything that 'up' started. Data is kept."`
	Status    statusCommand    `cmd:"" help:"Say what is running. Exits with 3 when nothing is."`
	Demo      demoCommand      `cmd:"" help:"Convert a document and store the PDF in the current directory."`
	Bench     benchCommand     `cmd:"" help:"Measure Docmill on servers of its own, and print ratios."`
	Run       runCommand       `cmd:"" help:"Start servers for tests, run a command with them, stop them, and exit as the command did."`
	Install   installCommand   `cmd:"" help:"Install what Docmill needs, as far as it is missing."`
	Supervise superviseCommand `cmd:"" hidden:"" help:"Be the background process of 'up'."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed := kong.Parse(&commands{},
		kong.Name("devstack"),
		kong.Description("Docmill on one machine, with private RabbitMQ, PostgreSQL and MinIO servers."),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(newLog()),
	)
	os.Exit(exitCode(parsed.Run())) //nolint:gocritic // the signal handler ends with the process
}

// exitCode is the code that a command asked for, or 1 for an error, which is told.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[codeError](err); ok {
		return int(code)
	}
	fmt.Fprintln(os.Stderr, "devstack:", err)
	return 1
}

// codeError ends the program with a code of its own; what there was to say has been said.
type codeError int

func (c codeError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// newLog tells a person at a terminal what takes long: messages without decoration.
func newLog() *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey, encoder.LevelKey = zapcore.OmitKey, zapcore.OmitKey
	encoder.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(os.Stderr), zap.InfoLevel))
}

// codeOf is how a child ended, as a shell would tell it.
func codeOf(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		const signaled = 128
		return codeError(signaled + int(status.Signal()))
	}
	return codeError(exit.ExitCode())
}
