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
	Up        upCommand        `cmd:"" help:"Start Docmill in the background, wait until it is ready, and print the URL."`
	Down      downCommand      `cmd:"" help:"Stop what 'up' started. Data is kept."`
	Status    statusCommand    `cmd:"" help:"Print what is running. Exits with code 3 if nothing is."`
	Demo      demoCommand      `cmd:"" help:"Convert a document and store the PDF in the current directory."`
	Bench     benchCommand     `cmd:"" help:"Measure both editions of Docmill on private servers, and print ratios."`
	Chaos     chaosCommand     `cmd:"" help:"Inject faults while clients use Docmill, and check that no job is lost or wrong."`
	Fidelity  fidelityCommand  `cmd:"" help:"Compare Docmill's PDFs with those that Microsoft Office exported from the same documents."`
	Load      loadCommand      `cmd:"" help:"Measure waiting, conversion and start times of the three services under a random load."`
	Simulate  simulateCommand  `cmd:"" help:"Simulate converters and an autoscaler, and compute what a rate of documents needs."`
	Run       runCommand       `cmd:"" help:"Start servers for tests, run a command with them, stop them, and exit with the code of the command."`
	Install   installCommand   `cmd:"" help:"Install missing dependencies of Docmill and its tests."`
	Supervise superviseCommand `cmd:"" hidden:"" help:"Run as the background process of 'up'."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed := kong.Parse(&commands{},
		kong.Name("devstack"),
		kong.Description("Runs Docmill on one machine: in one process, or as three services with private RabbitMQ, PostgreSQL "+
			"and MinIO servers."),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(newLog()),
		simulationFiles(),
	)
	os.Exit(exitCode(parsed.Run())) //nolint:gocritic // the signal handler ends with the process
}

// exitCode returns the exit code of a codeError. It prints any other error and returns 1.
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

// codeError ends the program with an exit code and without a message.
type codeError int

func (c codeError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// newLog returns a log for a terminal: messages only, without time and level.
func newLog() *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey, encoder.LevelKey = zapcore.OmitKey, zapcore.OmitKey
	encoder.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(os.Stderr), zap.InfoLevel))
}

// codeOf returns how a child ended, as the exit code that a shell would return.
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
