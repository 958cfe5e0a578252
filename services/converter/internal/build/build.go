// Package build identifies everything of a converter that its results depend on: its program, its settings, and the files of
// LibreOffice, of the fonts and of the other programs. Converters with the same build make the same result of a document.
package build

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Parts are the parts of a build.
type Parts struct {
	// Executable is the path of the converter's program.
	Executable string
	// Paths are files, and directories with all that is in them. Those that do not exist are ignored.
	Paths []string
	// Settings are the settings that results depend on. They are compared by their default format.
	Settings any
}

// Build is the build of a running converter. It is safe for concurrent use. A nil *Build is unknown.
type Build struct {
	parts Parts
	// digest returns the digest as of its first call; nil if it is unknown.
	digest func() []byte
	// changed is set once the files differ from those that the converter was started with.
	changed atomic.Bool
	log     *zap.Logger

	mu        sync.Mutex
	checkedAt time.Time
}

// New returns a build. It is determined by the first call of Check or Digest, which takes some 20 ms, because it looks at thousands
// of files.
func New(parts Parts, log *zap.Logger) *Build {
	return &Build{parts: parts, log: log, digest: sync.OnceValue(func() []byte {
		digest, err := digestOf(parts)
		if err != nil {
			log.Warn("cannot compute the build of this converter; its results are not reused", zap.Error(err))
			return nil
		}
		return digest
	})}
}

// Digest returns a SHA-256 that identifies the build; nil if it is unknown, or if the files were found to have changed.
func (b *Build) Digest() []byte {
	if b == nil || b.changed.Load() {
		return nil
	}
	return b.digest()
}

// checkInterval is the least time between two looks at the files.
const checkInterval = time.Second

// Check looks at the files again, if that was not done within the last second, and returns Digest. After they have changed, the build remains
// unknown until the converter is started again: some of its processes may still use the old files.
func (b *Build) Check() []byte {
	known := b.Digest()
	if known == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.checkedAt) < checkInterval {
		return b.Digest()
	}
	if now, err := digestOf(b.parts); err != nil || !bytes.Equal(now, known) {
		b.changed.Store(true)
		b.log.Warn("LibreOffice, its fonts or another program has changed; results are not reused until the converter is restarted", zap.Error(err))
	}
	b.checkedAt = time.Now()
	return b.Digest()
}

func digestOf(parts Parts) ([]byte, error) {
	d := digester{hash: sha256.New(), seen: map[string]bool{}}
	id, err := goBuildID(parts.Executable)
	if err != nil {
		return nil, err
	}
	d.add("program", id)
	d.add("settings", fmt.Sprintf("%+v", parts.Settings))
	for _, path := range parts.Paths {
		if err := d.walk(path); err != nil {
			return nil, err
		}
	}
	return d.hash.Sum(nil), nil
}

// buildIDSection is where Go's linker puts an id of all code of a program, that in C included.
const buildIDSection = ".note.go.buildid"

var errNoBuildID = errors.New("the program has no build ID")

func goBuildID(executable string) (string, error) {
	file, err := elf.Open(executable)
	if err != nil {
		return "", err
	}
	defer file.Close()
	section := file.Section(buildIDSection)
	if section == nil {
		return "", errNoBuildID
	}
	id, err := section.Data()
	return string(id), err
}

// digester adds files to a hash.
type digester struct {
	hash hash.Hash
	// seen are the directories that were walked.
	seen map[string]bool
}

func (d *digester) add(parts ...string) { _, _ = fmt.Fprintf(d.hash, "%q\n", parts) } // a hash never fails

// walk adds a file, or a directory with all that is in it, and follows links. It goes by sizes and times: programs and fonts are
// replaced, not modified.
func (d *digester) walk(path string) error {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	d.add(path, target)
	return d.entry(target, info)
}

func (d *digester) entry(path string, info fs.FileInfo) error {
	if info.IsDir() {
		return d.directory(path)
	}
	d.add(path, strconv.FormatInt(info.Size(), 10), strconv.FormatInt(info.ModTime().UnixNano(), 10))
	return nil
}

func (d *digester) directory(path string) error {
	if d.seen[path] {
		return nil
	}
	d.seen[path] = true
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		inside := filepath.Join(path, entry.Name())
		if entry.Type()&fs.ModeSymlink != 0 {
			err = d.walk(inside)
		} else if info, failure := entry.Info(); failure != nil {
			err = failure
		} else {
			err = d.entry(inside, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
