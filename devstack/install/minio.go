package install

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
)

// pinnedMinIO is the last commit of MinIO before the project was archived. It has a security fix that the last
// published image lacks. The Dockerfile builds the same version. A new version gets a new directory in the cache, so a
// running stack keeps its binary.
//
//go:embed minio-version.txt
var pinnedMinIO string

func minioVersion() string { return strings.TrimSpace(pinnedMinIO) }

// minioPath returns the path of the binary in the cache, where it stays: a build takes about 2.5 minutes on two cores.
func minioPath() (string, error) {
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "bin", minioVersion(), "minio"), nil
}

// buildMinIO builds the pinned version in a temporary directory and moves the binary into place, so that an incomplete
// binary is never visible.
func buildMinIO(ctx context.Context, log *zap.Logger) (err error) {
	path, err := minioPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("create the directory for MinIO: %w", err)
	}
	building, err := os.MkdirTemp(filepath.Dir(path), "building-")
	if err != nil {
		return fmt.Errorf("create a directory to build MinIO in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(building)) }()

	target := "github.com/minio/minio@" + minioVersion()
	log.Info("building MinIO (only once, about 3 minutes)", zap.String("target", target))
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", "install", target)
	cmd.Dir = building
	// The workspace and the vendor flags of the surrounding project must not affect this build.
	cmd.Env = append(os.Environ(), "GOBIN="+building, "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build MinIO with go install %s: %w; last lines of the output:\n%s",
			target, err, lastLines(string(output)))
	}
	if err := os.Rename(filepath.Join(building, "minio"), path); err != nil {
		return fmt.Errorf("move MinIO into place: %w", err)
	}
	log.Info("built MinIO", zap.String("path", path), zap.Duration("took", time.Since(start).Round(time.Second)))
	return nil
}
