// Package install finds the programs that Docmill stands on, and installs what is missing when it may.
//
// Servers and LibreOffice come from Debian's packages, MinIO is built as a Go tool of a pinned version. None of the
// packages' own system services is started or left enabled.
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

// Need names one thing that has to be there.
type Need string

// What can be asked for.
const (
	RabbitMQ    Need = "RabbitMQ"
	PostgreSQL  Need = "PostgreSQL"
	MinIO       Need = "MinIO"
	LibreOffice Need = "LibreOffice"
	Poppler     Need = "Poppler"
	QPDF        Need = "qpdf"
	WebP        Need = "WebP"
)

// All is every need of Docmill and its tests.
func All() []Need { return []Need{RabbitMQ, PostgreSQL, MinIO, LibreOffice, Poppler, QPDF, WebP} }

// Converter is what the converter needs, and so all that the embedded edition needs.
func Converter() []Need { return []Need{LibreOffice, Poppler, QPDF, WebP} }

// Tools says where the programs are; what was not asked for is empty.
type Tools struct {
	// RabbitMQServer is the server's own script, not Debian's wrapper, which insists on the user rabbitmq.
	RabbitMQServer string
	// Epmd is Erlang's port mapper.
	Epmd string
	// PostgreSQLBin is the directory with initdb and postgres.
	PostgreSQLBin string
	// MinIO is the server's binary.
	MinIO string
	// Soffice is LibreOffice's start script.
	Soffice string
	// Pdfinfo is poppler's program that tells facts about a PDF.
	Pdfinfo string
	// Qpdf is the program that encrypts PDFs.
	Qpdf string
	// Cwebp is the program that writes WebP.
	Cwebp string
}

// ErrMissing is in every error that says that something is missing and was not installed.
var ErrMissing = errors.New("missing")

// Ensure returns where everything asked for is, after installing what was missing. That takes minutes on a fresh
// machine and is logged. Processes that call it at the same time take turns.
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
	// apt-get waits for the network and the disk, the build for the processor: they do not disturb each other.
	group, groupContext := errgroup.WithContext(ctx)
	fromDebian := slices.DeleteFunc(slices.Clone(missing), func(need Need) bool { return need == MinIO })
	if len(fromDebian) > 0 {
		group.Go(func() error { return installPackages(groupContext, log, fromDebian) })
	}
	if slices.Contains(missing, MinIO) {
		group.Go(func() error { return buildMinIO(groupContext, log) })
	}
	if err := group.Wait(); err != nil {
		return Tools{}, err
	}
	tools, missing = find(needs)
	if len(missing) > 0 {
		return Tools{}, fmt.Errorf("%s still %w after its installation", names(missing), ErrMissing)
	}
	return tools, nil
}

// lock takes the lock under which one process at a time installs.
func lock(ctx context.Context) (unlock func(), err error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	installing := flock.New(filepath.Join(dir, "install.lock"))
	if _, err := installing.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for another installation: %w", err)
	}
	return func() { _ = installing.Close() }, nil
}

// cacheDir is where what can be had again is kept between runs; it is created when missing.
func cacheDir() (string, error) {
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
