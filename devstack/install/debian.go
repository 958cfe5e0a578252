package install

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

//go:embed debian.sh
var debianScript string

// converterPackages lists the packages of the converter; the Dockerfile installs the same.
//
//go:embed converter-packages.txt
var converterPackages string

// debianPackages returns the packages to install for the given needs.
func debianPackages(needs []Need) []string {
	var list []string
	for line := range strings.Lines("rabbitmq-server\npostgresql\nchromium-headless-shell\n" + converterPackages) {
		name, _, _ := strings.Cut(line, "#")
		name = strings.TrimSpace(name)
		if name != "" && slices.Contains(needs, needOf(name)) {
			list = append(list, name)
		}
	}
	return list
}

// needOf returns the need that a package is for.
func needOf(name string) Need {
	if strings.HasPrefix(name, "fonts-") {
		return Fonts
	}
	switch name {
	case "rabbitmq-server":
		return RabbitMQ
	case "postgresql":
		return PostgreSQL
	case "poppler-utils":
		return Poppler
	case "qpdf":
		return QPDF
	case "webp":
		return WebP
	case "chromium-headless-shell":
		return Chromium
	default: // its components
		return LibreOffice
	}
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
	log.Info("installing "+names(needs)+" from Debian packages (only once, can take minutes)",
		zap.Strings("packages", packages))
	start := time.Now()
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &output, &output
	// dpkg must not be killed halfway: the script receives a signal and cleans up.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("install %s (%w); to install it manually, run: %s; last lines of the output:\n%s",
			names(needs), err, byHand, lastLines(output.String()))
	}
	log.Info("installed "+names(needs), zap.Duration("took", time.Since(start).Round(time.Second)))
	return nil
}

// lastLines returns the end of a long output, which usually contains the error.
func lastLines(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}
