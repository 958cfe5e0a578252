package install

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

//go:embed debian.sh
var debianScript string

// debianPackages lists what to install for the given needs.
func debianPackages(needs []Need) []string {
	packages := map[Need][]string{
		RabbitMQ:   {"rabbitmq-server"},
		PostgreSQL: {"postgresql"},
		LibreOffice: {
			"libreoffice-writer-nogui", "libreoffice-calc-nogui", "libreoffice-impress-nogui",
			"libreoffice-math-nogui", // without it formulas are left out, without a word
			// Fonts of the same widths as those that most documents name, so that lines break as their author saw them.
			"fonts-liberation", "fonts-dejavu", "fonts-crosextra-carlito", "fonts-crosextra-caladea",
		},
		Poppler: {"poppler-utils"},
		QPDF:    {"qpdf"},
		WebP:    {"webp"},
	}
	var list []string
	for _, need := range needs {
		list = append(list, packages[need]...)
	}
	return list
}

// installPackages runs apt-get as root, or returns an error with the command to run.
func installPackages(ctx context.Context, log *zap.Logger, needs []Need) error {
	packages := debianPackages(needs)
	byHand := "apt-get update && apt-get install -y --no-install-recommends " + strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s %w and there is no apt-get; on Debian, run: %s", names(needs), ErrMissing, byHand)
	}
	command := append([]string{"sh", "-c", debianScript, "debian.sh"}, packages...)
	if os.Getuid() != 0 {
		if exec.CommandContext(ctx, "sudo", "-n", "true").Run() != nil {
			return fmt.Errorf("%s %w; to install, run: sudo sh -c '%s'", names(needs), ErrMissing, byHand)
		}
		command = append([]string{"sudo", "-n"}, command...)
	}
	log.Info("installing "+names(needs)+" from Debian packages (only once, can take minutes)", zap.Strings("packages", packages))
	start := time.Now()
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &output, &output
	// dpkg must not be killed halfway: the script receives a signal and cleans up.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("install %s (%w); to install it manually, run: %s; last lines of its output:\n%s", names(needs), err, byHand, lastLines(output.String()))
	}
	log.Info("installed "+names(needs), zap.Duration("took", time.Since(start).Round(time.Second)))
	return nil
}

// lastLines returns the end of a long output, which usually contains the error.
func lastLines(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}
