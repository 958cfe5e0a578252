// Package install finds the programs that Docmill depends on, and installs missing ones if it has the permission.
//
// Servers and LibreOffice come from Debian packages; MinIO is built with Go from a pinned version. The system services
// of the packages are neither started nor left enabled. Prometheus, which only tests use, is taken out of its package.
package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Need is a dependency of Docmill or its tests.
type Need string

// The dependencies.
const (
	RabbitMQ    Need = "RabbitMQ"
	PostgreSQL  Need = "PostgreSQL"
	MinIO       Need = "MinIO"
	LibreOffice Need = "LibreOffice"
	Fonts       Need = "fonts"
	Poppler     Need = "Poppler"
	QPDF        Need = "qpdf"
	WebP        Need = "WebP"
	Chromium    Need = "Chromium"
	Prometheus  Need = "Prometheus"
)

// All returns every dependency of Docmill and its tests.
func All() []Need { return append(Services(), Chromium, Prometheus) }

// Services returns the dependencies of the three services.
func Services() []Need { return append([]Need{RabbitMQ, PostgreSQL, MinIO}, Converter()...) }

// Converter returns the dependencies of the converter, which are also those of the single-process edition.
func Converter() []Need { return []Need{LibreOffice, Fonts, Poppler, QPDF, WebP} }

// Tools has the paths of the programs. Fields that were not requested are empty.
type Tools struct {
	// RabbitMQServer is the script of the server itself, not Debian's wrapper, which requires the user rabbitmq.
	RabbitMQServer string
	// Epmd is the Erlang port mapper.
	Epmd string
	// PostgreSQLBin is the directory of initdb and postgres.
	PostgreSQLBin string
	// MinIO is the server binary.
	MinIO string
	// Soffice is the start script of LibreOffice.
	Soffice string
	// Pdfinfo is the program of Poppler that describes a PDF.
	Pdfinfo string
	// Qpdf encrypts PDFs.
	Qpdf string
	// Cwebp writes WebP images.
	Cwebp string
	// Chromium is the browser that tests of the web page use, without a window.
	Chromium string
	// Prometheus is the server, and Promtool the program that checks and tests rules.
	Prometheus, Promtool string
}

// ErrMissing is wrapped by every error about a dependency that is missing and was not installed.
var ErrMissing = errors.New("missing")

// Ensure returns the paths of the requested programs, after installing missing ones. Installation takes minutes on a
// fresh machine and is logged. Concurrent processes take turns.
func Ensure(ctx context.Context, log *zap.Logger, needs ...Need) (Tools, error) {
	if log == nil {
		log = zap.NewNop()
	}
	tools, missing := find(needs)
	if len(missing) == 0 {
		return tools, nil
	}
	unlock, err := lock(ctx)
	if err != nil {
		return Tools{}, err
	}
	defer unlock()
	_, missing = find(needs) // another process may have installed it while this one waited
	// Both run at the same time: apt-get mostly waits for the network and the disk, the build needs the processor.
	group, groupContext := errgroup.WithContext(ctx)
	fromDebian := slices.DeleteFunc(slices.Clone(missing), func(need Need) bool { return need == MinIO || need == Prometheus })
	if len(fromDebian) > 0 {
		group.Go(func() error { return installPackages(groupContext, log, fromDebian) })
	}
	if slices.Contains(missing, MinIO) {
		group.Go(func() error { return buildMinIO(groupContext, log) })
	}
	if slices.Contains(missing, Prometheus) {
		group.Go(func() error { return extractPrometheus(groupContext, log) })
	}
	if err := group.Wait(); err != nil {
		return Tools{}, err
	}
	tools, missing = find(needs)
	if len(missing) > 0 {
		return Tools{}, fmt.Errorf("%s still %w after installation", names(missing), ErrMissing)
	}
	return tools, nil
}

// lock acquires the lock that allows one process at a time to install.
func lock(ctx context.Context) (unlock func(), err error) {
	dir, err := CacheDir()
	if err != nil {
		return nil, err
	}
	installing := flock.New(filepath.Join(dir, "install.lock"))
	if _, err := installing.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for another installation: %w", err)
	}
	return func() { _ = installing.Close() }, nil
}

// CacheDir returns the directory for files that can be rebuilt, and creates it if necessary.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil { // no HOME, as under some service managers
		base = filepath.Join(os.TempDir(), "cache-"+strconv.Itoa(os.Getuid()))
	}
	dir := filepath.Join(base, "docmill")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("create the cache directory: %w", err)
	}
	return dir, nil
}

func names(needs []Need) string {
	words := make([]string, len(needs))
	for i, need := range needs {
		words[i] = string(need)
	}
	return strings.Join(words, ", ")
}
