package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/minio/minio-go/v7"
)

// Dump writes a database to a file with pg_dump.
func (p *PostgreSQL) Dump(ctx context.Context, database, file string) error {
	return p.runClient(ctx, "pg_dump", "--format=custom", "--file="+file, "--dbname="+p.URL(database))
}

// Restore creates a database and fills it with a dump.
func (p *PostgreSQL) Restore(ctx context.Context, database, file string) error {
	if err := p.CreateDatabase(ctx, database); err != nil {
		return err
	}
	return p.runClient(ctx, "pg_restore", "--no-owner", "--exit-on-error", "--dbname="+p.URL(database), file)
}

// runClient runs a program of PostgreSQL as the role docmill.
func (p *PostgreSQL) runClient(ctx context.Context, program string, args ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(p.tools.PostgreSQLBin, program), args...)
	command.Env = append(environment(p.dir), "PGPASSWORD="+p.Password)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", program, err, output)
	}
	return nil
}

// Download copies the objects of a bucket to files of a directory, named by their keys. Files that exist are not copied again.
func (m *MinIO) Download(ctx context.Context, bucket, dir string) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	keys, err := m.Objects(ctx, bucket)
	if err != nil {
		return err
	}
	for _, key := range keys {
		file := filepath.Join(dir, filepath.FromSlash(key))
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := client.FGetObject(ctx, bucket, key, file, minio.GetObjectOptions{}); err != nil {
			return fmt.Errorf("copy %s from bucket %s: %w", key, bucket, err)
		}
	}
	return nil
}

// Upload creates a bucket and copies the files of a directory to it. It is the reverse of Download.
func (m *MinIO) Upload(ctx context.Context, bucket, dir string) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	if err := m.CreateBucket(ctx, bucket); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		key, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if _, err := client.FPutObject(ctx, bucket, filepath.ToSlash(key), path, minio.PutObjectOptions{}); err != nil {
			return fmt.Errorf("copy %s to bucket %s: %w", key, bucket, err)
		}
		return nil
	})
}

// CopyData copies the data of a node that is stopped, including the messages in its queues, to a new directory.
func (r *RabbitMQ) CopyData(dir string) error {
	if err := os.CopyFS(dir, os.DirFS(r.dataDir())); err != nil {
		return fmt.Errorf("copy the data of %s: %w", r.Name(), err)
	}
	return nil
}
