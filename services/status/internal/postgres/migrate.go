package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
	"go.uber.org/zap"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable holds the number of the newest migration.
const versionTable = "public.schema_version"

// Delays between attempts to reach a database that does not answer.
const (
	firstDelay = 100 * time.Millisecond
	maxDelay   = 5 * time.Second
)

func newDelays() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: firstDelay, Multiplier: 2, MaxInterval: maxDelay, RandomizationFactor: 0.5}
}

// Run brings the schema up to date, trying for as long as the database does not answer, and holds the pool until drain is
// closed. It calls ready at once: the service starts, and says through Check that it cannot work yet. Run is called
// once; it is a part of package host.
func (s *Store) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	defer s.pool.Close()
	ready()
	delays, told := newDelays(), ""
	for {
		err := s.migrate(ctx)
		if err == nil {
			close(s.migrated)
			break
		}
		s.hindrance.Store(&err)
		if text := err.Error(); text != told { // an outage is told once, and again when its reason changes
			told = text
			s.log.Warn("the database is not ready; trying until it is", zap.Error(err))
		}
		if !wait(ctx, drain, delays.NextBackOff()) {
			return nil
		}
	}
	select {
	case <-drain:
	case <-ctx.Done():
	}
	return nil
}

// migrate applies the migrations that are missing, on a connection of its own. Tern holds an advisory lock, which makes it safe
// with several replicas.
func (s *Store) migrate(ctx context.Context) error {
	connection, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
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
		// A newer replica was here: in a rolling update, and after one that was taken back. Migrations only add.
		s.log.Warn("the schema is newer than this program", zap.Int32("schema", current), zap.Int32("known", newest))
		return nil
	}
	if err := migrator.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	s.warnOfLoss(ctx, connection)
	return nil
}

// warnOfLoss tells the operator of a setting under which a commit is no promise: events are acknowledged after the commit, and
// a database that crashes then has lost some (measured: the last tenths of a second, and jobs that never end by it).
func (s *Store) warnOfLoss(ctx context.Context, connection *pgx.Conn) {
	var mode string
	if err := connection.QueryRow(ctx, "SELECT current_setting('synchronous_commit')").Scan(&mode); err == nil && mode == "off" {
		s.log.Warn("the database has synchronous_commit=off: states that it has confirmed are lost when it crashes")
	}
}

// wait waits and says true, or false when drain or the end of ctx came first.
func wait(ctx context.Context, drain <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-drain:
		return false
	case <-ctx.Done():
		return false
	}
}
