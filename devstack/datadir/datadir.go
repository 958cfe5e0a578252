// Package datadir looks into the data directory of the single-process edition, and changes it as if time had passed. It uses none
// of Docmill's own code, so that a bug there cannot hide itself.
package datadir

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// Buckets of a data directory.
const (
	Sources = "sources"
	Results = "results"
)

// Dir is the path of a data directory.
type Dir string

// name returns the path of the file with a key. A key's slash is "+" in the name.
func (d Dir) name(bucket, key string) string {
	return filepath.Join(string(d), bucket, strings.ReplaceAll(key, "/", "+"))
}

// Keys returns the keys of all files in a bucket, in order. A process may be using the directory.
func (d Dir) Keys(bucket string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(string(d), bucket))
	if err != nil {
		return nil, fmt.Errorf("list the files: %w", err)
	}
	var keys []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			keys = append(keys, strings.ReplaceAll(entry.Name(), "+", "/"))
		}
	}
	return keys, nil
}

// Put stores a file.
func (d Dir) Put(bucket, key string, content []byte) error {
	return os.WriteFile(d.name(bucket, key), content, 0o600)
}

// Remove deletes a file.
func (d Dir) Remove(bucket, key string) error { return os.Remove(d.name(bucket, key)) }

// Age makes all files look as if they had been stored at a time.
func (d Dir) Age(storedAt time.Time) error {
	for _, bucket := range []string{Sources, Results} {
		keys, err := d.Keys(bucket)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := os.Chtimes(d.name(bucket, key), storedAt, storedAt); err != nil {
				return fmt.Errorf("age a file: %w", err)
			}
		}
	}
	return nil
}

// ForgetCrash makes the next start believe that the last process has stopped cleanly. Otherwise it deletes the orphans at once, and again
// when it stops. No process may be using the directory.
func (d Dir) ForgetCrash() error {
	if err := os.Truncate(filepath.Join(string(d), "lock"), 0); err != nil {
		return fmt.Errorf("forget the crash: %w", err)
	}
	return nil
}

// ExpireTombstones makes the rows of all deleted and expired jobs due for deletion.
func (d Dir) ExpireTombstones(ctx context.Context) (err error) {
	database, err := d.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	_, err = database.ExecContext(ctx, "UPDATE jobs SET due_at = ?1, expires_at = ?1 WHERE gone <> ''", time.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("make the tombstones due: %w", err)
	}
	return nil
}

// Query reads rows from the database: scan is called for each. A process may be using the directory.
func (d Dir) Query(ctx context.Context, statement string, scan func(*sql.Rows) error) (err error) {
	database, err := d.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	rows, err := database.QueryContext(ctx, statement)
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read the database: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	return nil
}

func (d Dir) open() (*sql.DB, error) {
	database, err := sql.Open("sqlite", "file:"+filepath.Join(string(d), "docmill.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return database, nil
}
