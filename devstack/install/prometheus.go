package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// prometheusDir is the directory in the cache that the programs of Prometheus are extracted to.
func prometheusDir() (string, error) {
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "bin", "prometheus"), nil
}

// prometheusScript downloads the Debian package into the current directory and extracts it. The lists of packages are updated
// only if there are none. Nothing is installed: the package would start a server, and its programs need no other files.
const prometheusScript = `
fetch() { apt-get -o APT::Sandbox::User="$(id -un)" download prometheus; }
fetch || { if [ "$(id -u)" = 0 ]; then apt-get update; else sudo -n apt-get update; fi && fetch; }
dpkg-deb --extract prometheus_*.deb extracted`

// extractPrometheus takes Prometheus out of its Debian package, in a temporary directory, and moves the programs into place.
func extractPrometheus(ctx context.Context, log *zap.Logger) (err error) {
	dir, err := prometheusDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("create the directory for Prometheus: %w", err)
	}
	working, err := os.MkdirTemp(dir, "extracting-")
	if err != nil {
		return fmt.Errorf("create a directory to extract Prometheus in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(working)) }()
	start := time.Now()
	cmd := exec.CommandContext(ctx, "sh", "-ec", prometheusScript)
	cmd.Dir = working
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("extract the Debian package prometheus (%w); to install it manually, run: apt-get install prometheus; "+
			"last lines of the output:\n%s", err, lastLines(string(output)))
	}
	for _, name := range []string{"prometheus", "promtool"} {
		if err := os.Rename(filepath.Join(working, "extracted", "usr", "bin", name), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("move %s into place: %w", name, err)
		}
	}
	log.Info("extracted Prometheus", zap.String("directory", dir), zap.Duration("took", time.Since(start).Round(time.Second)))
	return nil
}
