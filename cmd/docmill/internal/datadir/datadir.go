// Package datadir is the data directory of `docmill serve`: one database, the files of the jobs, and the key that seals
// passwords.
//
//	docmill.db    messages and jobs (SQLite, with -wal and -shm beside it while it is open)
//	sources/      uploaded documents
//	results/      results
//	work/         files of running conversions
//	seal.key      the key for passwords, created at the first start
//	lock          locked while the directory is in use
package datadir

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/directory"
	"github.com/docmill/docmill/platform/disk"
	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/platform/sqlitequeue"
	jobs "github.com/docmill/docmill/services/status/sqlite"
)

// Dir is an open data directory. Only one process can have it open.
type Dir struct {
	// Messages, Jobs, Sources and Results are the contents of the directory.
	Messages *sqlitequeue.Queue
	Jobs     *jobs.Store
	Sources  *directory.Bucket
	Results  *directory.Bucket

	path     string
	lock     *lock
	database *sqlite.DB
	volatile bool
}

const (
	private = 0o700
	// Reserve is the free space in bytes below which no documents are accepted, so that those that were accepted can still
	// be converted. It is also where /readyz reports a full disk.
	Reserve = 64 << 20
	// copyReserve is the free space in bytes below which results are not copied for other jobs: their documents can be converted instead.
	// Concurrent copies may use at most 132 MiB of it.
	copyReserve = 1 << 30
)

// Open locks the directory, which is created if it does not exist, and opens what is in it. It returns [ErrInUse] if
// another process has it open, and sqlite.ErrNewerVersion if a newer version of the program has written to it. After a
// process that died, files that belong to no job are deleted.
func Open(ctx context.Context, path string, log *zap.Logger, metrics prometheus.Registerer) (*Dir, error) {
	return open(ctx, &Dir{path: path}, log, metrics, (*Dir).recover)
}

// OpenTemporary opens a new directory that is of no use after the end of the process: nothing in it is synced, which
// saves several fsyncs for each job. The caller removes it.
func OpenTemporary(ctx context.Context, path string, log *zap.Logger, metrics prometheus.Registerer) (*Dir, error) {
	return open(ctx, &Dir{path: path, volatile: true}, log, metrics, (*Dir).recover)
}

// OpenToRead opens a directory that must exist, and deletes nothing in it. If its last process died or was older, the
// database is recovered and migrated.
func OpenToRead(ctx context.Context, path string) (*Dir, error) {
	if _, err := os.Stat(filepath.Join(path, databaseName)); err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	return open(ctx, &Dir{path: path}, zap.NewNop(), prometheus.NewRegistry(), func(d *Dir, ctx context.Context, _ *zap.Logger) error {
		if !d.lock.wasClean {
			d.lock.keepMark() // the next start still has to look for orphans
		}
		return d.Jobs.Migrate(ctx)
	})
}

const databaseName = "docmill.db"

func open(
	ctx context.Context, d *Dir, log *zap.Logger, metrics prometheus.Registerer,
	prepare func(*Dir, context.Context, *zap.Logger) error,
) (*Dir, error) {
	if err := os.MkdirAll(d.path, private); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	held, err := acquire(filepath.Join(d.path, "lock"))
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", d.path, err)
	}
	d.lock = held
	err = d.open(ctx, log, metrics)
	if err == nil {
		err = prepare(d, ctx, log)
	}
	if err != nil {
		held.keepMark() // nothing was cleaned up
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", d.path, err), d.Close())
	}
	return d, nil
}

func (d *Dir) open(ctx context.Context, log *zap.Logger, metrics prometheus.Registerer) (err error) {
	d.database, err = sqlite.Open(ctx, filepath.Join(d.path, databaseName), sqlite.Options{
		Log: log, Metrics: metrics, Volatile: d.volatile,
	})
	if err != nil {
		return err
	}
	if d.Messages, err = sqlitequeue.Open(ctx, d.database, sqlitequeue.Options{Log: log, Metrics: metrics}); err != nil {
		return err
	}
	d.Jobs = jobs.New(d.database)
	var durability []directory.Option
	if d.volatile {
		durability = append(durability, directory.Volatile)
	}
	if d.Sources, err = directory.Open(filepath.Join(d.path, "sources"), durability...); err != nil {
		return err
	}
	d.Sources.Reserve(Reserve)
	if d.Results, err = directory.Open(filepath.Join(d.path, "results"), durability...); err != nil {
		return err
	}
	d.Results.ReserveForCopies(copyReserve)
	return nil
}

// recover brings the tables up to date, and deletes what a process that died has left behind.
func (d *Dir) recover(ctx context.Context, log *zap.Logger) error {
	if err := d.Jobs.Migrate(ctx); err != nil {
		return err
	}
	if d.lock.wasClean {
		return nil
	}
	log.Info("the last process did not stop cleanly; looking for files that belong to no job")
	d.cleanUp(ctx, log)
	return nil
}

// cleanUp deletes files that belong to no job. If it cannot, it leaves that to the next start.
func (d *Dir) cleanUp(ctx context.Context, log *zap.Logger) {
	orphans, err := d.deleteOrphans(ctx)
	if err != nil {
		log.Warn("could not delete all files that belong to no job; the next start tries again", zap.Error(err))
		d.lock.keepMark()
	}
	log.Info("deleted files that belonged to no job", zap.Int("files", orphans))
}

// Finish closes the directory after everything that uses it has stopped. After the death of a process some conversions were
// repeated, so it looks for files that belong to no job once more.
func (d *Dir) Finish(ctx context.Context, log *zap.Logger) error {
	if !d.lock.wasClean {
		d.cleanUp(ctx, log)
	}
	return d.Close()
}

// Abandon closes the directory while it may still be in use, as if the process had died.
func (d *Dir) Abandon() error {
	d.lock.keepMark()
	return d.Close()
}

// Close closes everything and unlocks the directory.
func (d *Dir) Close() error {
	var failures []error
	for _, bucket := range []*directory.Bucket{d.Sources, d.Results} {
		if bucket != nil {
			failures = append(failures, bucket.Close())
		}
	}
	if d.database != nil {
		failures = append(failures, d.database.Close())
	}
	return errors.Join(append(failures, d.lock.release())...)
}

// WorkDir is the directory for the files of running conversions. It need not exist.
func (d *Dir) WorkDir() string { return filepath.Join(d.path, "work") }

// Check returns nil while the database can be used.
func (d *Dir) Check(ctx context.Context) error { return d.database.Check(ctx) }

// SealKey returns the key for passwords. It is created at the first call, so that passwords work without any setting.
func (d *Dir) SealKey() (config.Secret, error) {
	const keySize = 32
	path := filepath.Join(d.path, "seal.key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, keySize)
		_, _ = rand.Read(key) // never fails
		text = []byte(base64.StdEncoding.EncodeToString(key) + "\n")
		err = writeFile(path, text)
	}
	if err != nil {
		return config.Secret{}, fmt.Errorf("key for passwords: %w", err)
	}
	return config.NewSecret(string(text)), nil
}

// writeFile writes a private file durably and atomically: a truncated key would be useless.
func writeFile(path string, content []byte) error {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return disk.SyncDirectory(filepath.Dir(path))
}
