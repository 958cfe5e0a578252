package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/retry"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable holds the number of the newest migration.
const versionTable = "public.schema_version"

// lockTimeout limits how long a migration waits for the lock on a table. Queries of other replicas queue behind a migration that
// waits, for example for a backup (pg_dump), so it must be shorter than database-read-timeout (2 s). It must be longer than
// deadlock_timeout (1 s), after which a vacuum gives way.
const lockTimeout = "1500ms"

// reconnect is the retry policy for a database that does not answer.
var reconnect = retry.Policy{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Stable: 10 * time.Second}

// Run implements [jobstore.Store]: it brings the schema up to date, retrying while the database does not answer,
// builds indexes, listens for changes, and closes the connections at the end.
func (s *Store) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	defer s.pool.Close()
	var background sync.WaitGroup
	defer background.Wait()
	ctx, cancel := host.Context(ctx, drain)
	defer cancel()
	ready()
	background.Go(func() { s.listen(ctx) })
	err := retry.Loop(ctx, reconnect, s.log, "the database is not ready; retrying", func(ctx context.Context) error {
		err := s.migrate(ctx)
		if err != nil {
			s.lastErr.Store(&err)
		}
		return err
	})
	if err != nil {
		return nil // ctx has ended
	}
	close(s.migrated)
	background.Go(func() { s.buildIndexes(ctx) })
	<-ctx.Done()
	return nil
}

// migrate applies the missing migrations, on a connection of its own. Tern holds an advisory lock, which makes it
// safe with several replicas.
func (s *Store) migrate(ctx context.Context) error {
	settings := s.pool.Config().ConnConfig
	settings.RuntimeParams["lock_timeout"] = lockTimeout // not with SET: Tern resets that after each migration
	connection, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	migrator, err := migrate.NewMigrator(ctx, connection, versionTable)
	if err != nil {
		return fmt.Errorf("prepare the migrations: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if err := migrator.LoadMigrations(files); err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	current, err := migrator.GetCurrentVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if newest := int32(len(migrator.Migrations)); current > newest {
		// A newer replica has migrated: in a rolling update, or in one that was rolled back. Migrations only add.
		s.log.Warn("the schema is newer than this program", zap.Int32("schema", current), zap.Int32("known", newest))
		return nil
	}
	if err := migrator.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	if err := indexSmallTable(ctx, connection); err != nil {
		return err
	}
	if err := s.checkIndexes(ctx, connection); err != nil {
		return fmt.Errorf("look for the indexes: %w", err)
	}
	s.warnOfLoss(ctx, connection)
	return nil
}

// warnOfLoss warns the operator of settings under which a commit is not a promise: events are acknowledged after the
// commit, and a database that crashes then has lost some (measured: the last tenths of a second, and jobs that never end
// because of it). So has a standby that takes the place of the primary, unless it is a synchronous one. Every role can see
// that there are standbys, but not which ones.
func (s *Store) warnOfLoss(ctx context.Context, connection *pgx.Conn) {
	var mode string
	var standbys, synchronous bool
	err := connection.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), EXISTS (SELECT FROM pg_stat_replication),
		current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') <> 'local'`).
		Scan(&mode, &standbys, &synchronous)
	switch {
	case err != nil:
	case mode == "off":
		s.log.Warn("the database has synchronous_commit=off: committed states are lost if it crashes")
	case standbys && !synchronous:
		s.log.Warn("the database has standbys, but none of them is synchronous: a failover loses the latest states")
	}
}
