package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// migration is one step from a version to the next.
type migration struct {
	version int
	script  string
}

// Migrate brings the tables of one component up to date: it runs the files *.sql of a directory whose versions the
// database does not have yet. Their names begin with the version and an underscore, such as 001_create_jobs.sql;
// versions count from 1 without gaps. All of it is one durable transaction. A database that has a version unknown to
// files is refused with [ErrNewerVersion].
func (db *DB) Migrate(ctx context.Context, component string, files fs.FS) error {
	migrations, err := readMigrations(files)
	if err != nil {
		return fmt.Errorf("read the migrations of %s: %w", component, err)
	}
	return db.Write(ctx, Durable, func(ctx context.Context, tx *Tx) error {
		return db.migrate(ctx, tx, component, migrations)
	})
}

func (db *DB) migrate(ctx context.Context, tx *Tx, component string, migrations []migration) error {
	found := 0
	err := tx.QueryRowContext(ctx, "SELECT version FROM schema_versions WHERE component = ?", component).Scan(&found)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read the version of %s: %w", component, err)
	}
	supported := len(migrations)
	if found > supported {
		return fmt.Errorf("%w of docmill: the tables %q in %s have version %d, this program supports versions up to %d",
			ErrNewerVersion, component, db.path, found, supported)
	}
	for _, m := range migrations[found:] {
		if _, err := tx.on.ExecContext(ctx, m.script); err != nil { // not prepared: it has several statements
			return fmt.Errorf("migrate %s to version %d: %w", component, m.version, err)
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO schema_versions (component, version) VALUES (?, ?)
		ON CONFLICT (component) DO UPDATE SET version = excluded.version`, component, supported)
	return err
}

// readMigrations returns the migrations in the order of their versions.
func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var migrations []migration
	for i, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("the file %s should have version %d", name, i+1)
		}
		script, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		migrations = append(migrations, migration{version: version, script: string(script)})
	}
	if len(migrations) == 0 {
		return nil, errors.New("no migrations")
	}
	return migrations, nil
}
