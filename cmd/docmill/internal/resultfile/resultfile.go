// Package resultfile stores results of jobs in files.
package resultfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
)

// Store downloads the result of a job to a path. The file appears when it is complete. If the process is killed before,
// nothing is left of it on most file systems, and a hidden file on those without O_TMPFILE. A file that exists is replaced
// only if replace is set; otherwise it stays, even if it was created during the download. If path is a device, a pipe or
// the like, the result is written into it. Files are not synced: after a power loss the result can be downloaded, or the
// document converted, again.
//
// Errors of the file system are a [*remote.Fault], the others those of [client.Client.Download].
func Store(ctx context.Context, from *client.Client, job client.Job, path string, replace bool) error {
	if info, err := os.Stat(path); err == nil && special(info) {
		return Unwritable(writeInto(ctx, from, job, path))
	}
	if err := Admit(path, replace); err != nil {
		return err
	}
	const mode = 0o777 // less the umask
	if err := os.MkdirAll(filepath.Dir(path), mode); err != nil {
		return Unwritable(err)
	}
	f, err := create(filepath.Dir(path))
	if err != nil {
		return Unwritable(err)
	}
	defer f.discard()
	if err := from.Download(ctx, job, f.File); err != nil {
		return Unwritable(err)
	}
	return Unwritable(f.publish(path, replace))
}

// Admit returns an error if there is a file at a path that must not be replaced.
func Admit(path string, replace bool) error {
	info, err := os.Stat(path)
	switch {
	case err != nil || special(info):
		return nil //nolint:nilerr // it does not exist; if it cannot be created, Store fails
	case info.IsDir():
		return &remote.Fault{Code: remote.CodeExists, Detail: path + " is a directory.", Remedy: "Give another --output."}
	case !replace:
		return exists(path)
	default:
		return nil
	}
}

func exists(path string) error {
	return &remote.Fault{Code: remote.CodeExists, Detail: path + " exists.", Remedy: "Replace it with --force, or give another --output."}
}

// special reports whether a file is a device, a pipe or the like. A result is written into it and does not replace it.
func special(info fs.FileInfo) bool { return !info.Mode().IsRegular() && !info.IsDir() }

func writeInto(ctx context.Context, from *client.Client, job client.Job, path string) error {
	return invocation.Await(ctx, func() error {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(from.Download(ctx, job, file), file.Close())
	})
}

// file is a file that is being written.
type file struct {
	*os.File
	// hidden is its temporary path; empty if it has none.
	hidden string
}

const fileMode = 0o666 // less the umask

// create creates a file without a name in a directory, or with a hidden name if the file system does not support that.
func create(directory string) (*file, error) {
	unnamed, err := os.OpenFile(directory, os.O_WRONLY|unix.O_TMPFILE, fileMode)
	if err == nil {
		if _, err := os.Lstat(magic(unnamed)); err == nil {
			return &file{File: unnamed}, nil
		}
		_ = unnamed.Close() // without /proc it cannot be given a name
	}
	hidden := hiddenIn(directory)
	named, err := os.OpenFile(hidden, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	return &file{named, hidden}, err
}

func hiddenIn(directory string) string { return filepath.Join(directory, ".docmill-"+rand.Text()) }

// magic returns the path of an open file in /proc, by which a file without a name can be linked, see open(2).
func magic(open *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", open.Fd()) }

// publish makes the complete file appear at path. If there is another file at path, publish replaces it if replace is set,
// and fails otherwise.
func (f *file) publish(path string, replace bool) error {
	if f.hidden == "" {
		to := path
		if replace { // linkat never replaces a file, rename does
			to = hiddenIn(filepath.Dir(path))
		}
		if err := unix.Linkat(unix.AT_FDCWD, magic(f.File), unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW); err != nil {
			return existing(&os.LinkError{Op: "link", Old: f.Name(), New: to, Err: err}, path)
		}
		if !replace {
			return nil
		}
		f.hidden = to
	}
	if err := f.Close(); err != nil {
		return err
	}
	if !replace {
		if err := reserve(path); err != nil {
			return existing(err, path)
		}
	}
	if err := os.Rename(f.hidden, path); err != nil {
		if !replace {
			_ = os.Remove(path) // the file of reserve
		}
		return err
	}
	f.hidden = ""
	return nil
}

// reserve creates an empty file at path, which the rename then replaces. It fails if there is a file already. Not every
// file system supports RENAME_NOREPLACE.
func reserve(path string) error {
	empty, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	return empty.Close()
}

func existing(err error, path string) error {
	if errors.Is(err, fs.ErrExist) {
		return exists(path)
	}
	return err
}

// discard removes the file unless it was published.
func (f *file) discard() {
	_ = f.Close() // it may be closed
	if f.hidden != "" {
		_ = os.Remove(f.hidden)
	}
}

// Unwritable returns an error of the file system as a [*remote.Fault], and any other error unchanged.
func Unwritable(err error) error {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if path || link {
		return &remote.Fault{
			Code: remote.CodeUnwritable, Detail: fmt.Sprintf("The result cannot be written: %v.", err), Remedy: "Give another --output, or make space.",
		}
	}
	return err
}
