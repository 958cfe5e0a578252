package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docmill/docmill/platform/disk"
	"github.com/docmill/docmill/platform/health"
)

// Examine finds out whether `docmill serve` can use a directory. It changes nothing, and opens no database.
func Examine(path string) health.Finding {
	found := health.Finding{Part: "data directory", State: health.OK}
	broken := func(detail, remedy string) health.Finding {
		found.State, found.Detail, found.Remedy = health.Broken, detail, remedy
		return found
	}
	const other = "Set --data to a directory that this user can write to."
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := existing(path)
		if err := probe(parent); err != nil {
			return broken(fmt.Sprintf("%s does not exist and cannot be created: %v.", path, err), other)
		}
		found.Detail = path + " does not exist yet; docmill serve creates it."
		return found
	case err != nil:
		return broken(err.Error()+".", other)
	case !info.IsDir():
		return broken(path+" is not a directory.", other)
	}
	if err := probe(path); err != nil {
		return broken(fmt.Sprintf("%s cannot be written: %v.", path, err), other)
	}
	free, err := disk.Free(path)
	if err != nil {
		return broken(err.Error()+".", other)
	}
	if free < Reserve {
		return broken(fmt.Sprintf("The disk of %s has only %d MiB of free space; no documents are accepted below %d MiB.", path, free>>20, Reserve>>20),
			"Make space, or set --data to a directory on another disk.")
	}
	found.Detail = fmt.Sprintf("%s can be written, and has %d MiB of free space%s.", path, free>>20, user(path))
	return found
}

// existing returns the closest directory above a path that exists.
func existing(path string) string {
	for path != filepath.Dir(path) {
		path = filepath.Dir(path)
		if _, err := os.Stat(path); err == nil {
			break
		}
	}
	return path
}

// probe creates and removes a file.
func probe(path string) error {
	file, err := os.CreateTemp(path, ".docmill-probe-")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// user describes the process that uses the directory; empty if there is none.
func user(path string) string {
	held, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR, 0)
	if err != nil {
		return ""
	}
	defer held.Close()
	if info, err := held.Stat(); err != nil || info.Size() == 0 { // it is not even tried, so that no start fails because of it
		return ""
	}
	if tryLock(held) == nil {
		return ""
	}
	return "; it is in use" + owner(held.Name())
}
