// Package release builds the programs of an earlier release of Docmill, so that tests can run them together with those
// of this release.
package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/system"
)

// Baseline is the commit of the earlier release that tests use. The table in section "Upgrading" of docs/operations.md
// lists what has changed since. When a release is made, set this to the previous one.
const Baseline = "ca5532637115f6d919816381ee2d1d0b6c4dc6dc"

// ErrNoHistory means that the commit is not available: the directory is a shallow clone, or is not in a repository.
var ErrNoHistory = errors.New("the history of the repository is missing")

// Build builds the programs of a commit of the project, once per machine. It takes a second if they were built before, and
// a minute otherwise. Concurrent processes wait for each other.
func Build(ctx context.Context, project, commit string, programs ...system.Program) (system.Release, error) {
	full, err := resolve(ctx, project, commit)
	if err != nil {
		return system.Release{}, err
	}
	cache, err := install.CacheDir()
	if err != nil {
		return system.Release{}, err
	}
	directory := filepath.Join(cache, "releases", full)
	if err := os.MkdirAll(directory, 0o750); err != nil {
		return system.Release{}, fmt.Errorf("create a directory for commit %s: %w", commit, err)
	}
	building := flock.New(filepath.Join(directory, "lock"))
	if _, err := building.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return system.Release{}, fmt.Errorf("wait for another build of commit %s: %w", commit, err)
	}
	defer func() { _ = building.Close() }()
	// The directory is the same each time, because Go's build cache depends on it.
	source := filepath.Join(directory, "source")
	if err := extract(ctx, project, full, source); err != nil {
		return system.Release{}, fmt.Errorf("extract commit %s: %w", commit, err)
	}
	built := system.Release{Binaries: filepath.Join(directory, "bin"), Earlier: true}
	if err := system.Build(ctx, source, built.Binaries, programs...); err != nil {
		return system.Release{}, fmt.Errorf("commit %s: %w", commit, err)
	}
	return built, nil
}

// resolve returns the full name of a commit.
func resolve(ctx context.Context, project, commit string) (string, error) {
	var reason bytes.Buffer
	command := exec.CommandContext(ctx, "git", "-C", project, "rev-parse", "--verify", "--end-of-options", commit+"^{commit}")
	command.Stderr = &reason
	name, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%w: find commit %s: %w: %s", ErrNoHistory, commit, err, bytes.TrimSpace(reason.Bytes()))
	}
	return strings.TrimSpace(string(name)), nil
}

// extract writes the files of a commit to a directory, if it does not exist. It moves the complete directory into place.
func extract(ctx context.Context, project, commit, to string) (err error) {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	partial, err := os.MkdirTemp(filepath.Dir(to), "partial-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(partial)) }()
	archive := filepath.Join(partial, "archive.tar")
	files := filepath.Join(partial, "files")
	if err := os.Mkdir(files, 0o750); err != nil {
		return err
	}
	for _, arguments := range [][]string{
		{"git", "-C", project, "archive", "--output=" + archive, commit, "--", ".", ":(exclude)testdata"},
		{"tar", "--extract", "--file=" + archive, "--directory=" + files},
	} {
		if output, err := exec.CommandContext(ctx, arguments[0], arguments[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", arguments[0], err, bytes.TrimSpace(output))
		}
	}
	return os.Rename(files, to)
}
