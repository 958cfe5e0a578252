package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// converterFaults make one of the converters unable to work.
func converterFaults() []fault {
	return []fault{
		// Such a converter could fail faster than the others work, and so get nearly all jobs.
		{name: "converter with a full disk", hold: 6 * time.Second, retries: 5, inject: func(_ context.Context, d *deployment, random *rand.Rand) (heal, error) {
			return fullDisk(d, pick(random, d.converters).work)
		}},
		{name: "converter with a wrong bucket", hold: 6 * time.Second, inject: misconfigured("DOCMILL_STORE_SOURCES_BUCKET=no-such-bucket")},
		{name: "converter without the seal key", hold: 6 * time.Second, inject: misconfigured("DOCMILL_SEAL_KEY=")},
	}
}

// misconfigured restarts a converter with a wrong setting.
func misconfigured(setting string) func(context.Context, *deployment, *rand.Rand) (heal, error) {
	return func(ctx context.Context, d *deployment, random *rand.Rand) (heal, error) {
		r := pick(random, d.converters)
		r.Reconfigure(setting)
		return func(ctx context.Context) error {
			r.Reconfigure()
			return r.restart(ctx)
		}, r.restart(ctx)
	}
}

// diskSize is the size of a file system that can be full: more than 1 GiB, which the single process requires to be free before
// it copies results. Unused space takes no memory.
const diskSize = 4 << 30

// mountDisks mounts small file systems. Where that is not permitted, it returns errors.ErrUnsupported.
func mountDisks(directories ...string) (unmount func() error, err error) {
	var mounted []string
	unmount = func() error {
		var failures []error
		for _, directory := range mounted {
			failures = append(failures, syscall.Unmount(directory, syscall.MNT_DETACH))
		}
		return errors.Join(failures...)
	}
	for _, directory := range directories {
		err := syscall.Mount("tmpfs", directory, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", diskSize))
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			return unmount, errors.ErrUnsupported
		}
		if err != nil {
			return unmount, fmt.Errorf("mount a file system: %w", err)
		}
		mounted = append(mounted, directory)
	}
	return unmount, nil
}

// fullDisk fills the disk of a directory. It shrinks the file system first, because a full one of the original size would not fit into
// memory.
func fullDisk(d *deployment, directory string) (heal, error) {
	if !d.disks {
		return none, errors.ErrUnsupported
	}
	filler := filepath.Join(directory, "filler")
	end := func(context.Context) error { return errors.Join(os.RemoveAll(filler), resize(directory, diskSize)) }
	var found syscall.Statfs_t
	if err := syscall.Statfs(directory, &found); err != nil {
		return end, fmt.Errorf("measure the disk: %w", err)
	}
	const slack = 16 << 20 // what others may write meanwhile
	if err := resize(directory, (found.Blocks-found.Bfree)*uint64(found.Bsize)+slack); err != nil {
		return end, err
	}
	return end, fill(filler)
}

// resize changes the size of the file system that is mounted on a directory.
func resize(directory string, size uint64) error {
	if err := syscall.Mount("", directory, "", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err != nil {
		return fmt.Errorf("resize the disk: %w", err)
	}
	return nil
}

// fill writes to a file until its disk is full.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.CopyN(file, zeros{}, 1<<40)
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return fmt.Errorf("the disk did not become full: %w", err)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
