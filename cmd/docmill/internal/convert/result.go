package convert

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
	"github.com/docmill/docmill/contract/format"
)

// result is where the result of a document is stored.
type result struct {
	document

	stdout io.Writer
	target string
	// replace reports whether a file at a path may be replaced.
	replace func(path string) bool
}

// open returns where the result of a document is stored. It fails if that is certain to fail after the conversion.
func (r *runner) open(d document) (*result, error) {
	stored := &result{document: d, stdout: r.stdout, target: r.target, replace: func(path string) bool { return r.mayReplace(d, path) }}
	if d.stem == "" {
		return stored, nil
	}
	return stored, stored.admit(stored.likely())
}

// likely returns the path of the result, unless that is an archive.
func (r *result) likely() string {
	if r.whole {
		return r.stem
	}
	for f := range format.All() {
		if t, ok := f.Target(r.target); ok {
			return r.stem + "." + t.Extension
		}
	}
	return r.stem + "." + r.target
}

// admit returns an error if the file at a path must stay.
func (r *result) admit(path string) error {
	existing, err := os.Stat(path)
	if err != nil || special(existing) {
		return nil //nolint:nilerr // it does not exist; if it cannot be written, that shows later
	}
	source, err := os.Stat(r.path)
	switch {
	case existing.IsDir():
		return &remote.Fault{Code: remote.CodeExists, Detail: path + " is a directory.", Remedy: "Give another --output."}
	case err == nil && os.SameFile(source, existing):
		return &remote.Fault{Code: remote.CodeExists, Detail: "The result would replace the document itself.", Remedy: "Give another --output."}
	case !r.replace(path):
		return exists(path)
	default:
		return nil
	}
}

func exists(path string) error {
	return &remote.Fault{Code: remote.CodeExists, Detail: path + " exists.", Remedy: "Replace it with --force, or give another --output."}
}

// special reports whether a file is a device, a pipe or the like: results are written into it, and not in its place.
func special(info fs.FileInfo) bool { return !info.Mode().IsRegular() && !info.IsDir() }

// path returns where the result of a job is stored.
func (r *result) pathOf(job client.Job) (string, error) {
	extension, known := format.ResultExtension(job.Result.ContentType)
	if !known { // of a newer server
		extension = r.target
	}
	if !r.whole {
		return r.stem + "." + extension, nil
	}
	if archive := format.Archive().Extension; extension == archive && !strings.EqualFold(filepath.Ext(r.stem), "."+archive) {
		return "", &remote.Fault{
			Code: remote.CodeUnwritable, Detail: fmt.Sprintf("The document has %d pages, so the result is a zip archive of images.", job.Result.Pages),
			Remedy: "Give --output a directory or a name that ends in .zip, or select one page with --pages.",
		}
	}
	return r.stem, nil
}

// store downloads the result of a job, and returns its path. The file appears when it is complete.
func (r *result) store(ctx context.Context, from *client.Client, job client.Job) (string, error) {
	if r.stem == "" {
		return stdin, unwritable(from.Download(ctx, job, r.stdout))
	}
	path, err := r.pathOf(job)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(path); err == nil && special(info) {
		return path, unwritable(writeInto(ctx, from, job, path))
	}
	if err := r.admit(path); err != nil {
		return "", err
	}
	const mode = 0o777 // less the umask
	if err := os.MkdirAll(filepath.Dir(path), mode); err != nil {
		return "", unwritable(err)
	}
	hidden := filepath.Join(filepath.Dir(path), ".docmill-"+rand.Text())
	err = writeNew(ctx, from, job, hidden)
	if err == nil {
		err = publish(hidden, path, r.replace(path))
	}
	if err != nil {
		_ = os.Remove(hidden) // it may not exist
		return "", unwritable(err)
	}
	return path, nil
}

// writeNew downloads a result into a new file. It is not synced: after a power loss the document can be converted again.
func writeNew(ctx context.Context, from *client.Client, job client.Job, path string) error {
	const mode = 0o666 // less the umask
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(from.Download(ctx, job, file), file.Close())
}

func writeInto(ctx context.Context, from *client.Client, job client.Job, path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(from.Download(ctx, job, file), file.Close())
}

// publish moves a file to its place. Unless it may replace what is there, that must stay even if it appeared just now.
func publish(from, to string, replace bool) error {
	if replace {
		return os.Rename(from, to)
	}
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every file system can do that
		if err = os.Link(from, to); err == nil {
			return os.Remove(from)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return exists(to)
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) { // nor has every one links
		return os.Rename(from, to)
	}
	return err
}

// unwritable returns an error of the file system as what it means for the result.
func unwritable(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok || isSystem(err) {
		return &remote.Fault{
			Code: remote.CodeUnwritable, Detail: fmt.Sprintf("The result cannot be written: %v.", err), Remedy: "Give another --output, or make space.",
		}
	}
	return err
}

func isSystem(err error) bool {
	_, link := errors.AsType[*os.LinkError](err)
	return link || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ENOSPC)
}
