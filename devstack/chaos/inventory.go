package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/docmill/docmill/devstack/datadir"
	"github.com/docmill/docmill/devstack/servers"
)

// inventory is what an edition has stored.
type inventory interface {
	// rows returns all jobs.
	rows(ctx context.Context) ([]row, error)
	// unsent returns the webhooks that were not accepted by their receiver.
	unsent(ctx context.Context) ([]unsent, error)
	// messages returns the number of messages in each queue.
	messages(ctx context.Context) (map[string]int, error)
	// stored returns the keys of all files.
	stored(ctx context.Context) (stored, error)
	// pass lets days pass: all files are old, and the tombstones are due. There are orphans in both buckets, and one that is new.
	pass(ctx context.Context) error
	// check lets Docmill check itself, if it can, and returns what it finds.
	check(ctx context.Context) (problems string, err error)
}

// row is a job in the database.
type row struct {
	ID, Tag, Status, Gone, SourceKey, ClaimKey, ResultKey, FailureCode string
	Generation                                                         int32
	ResultPages                                                        int
	Submitted, Withdrawn, FilesDeleted                                 bool
}

// unsent is a webhook.
type unsent struct {
	Job, Event, State    string
	Generation, Failures int32
}

// stored are the keys in the two buckets.
type stored struct{ sources, results []string }

func (s stored) has(source, result string) bool {
	return slices.Contains(s.sources, source) || slices.Contains(s.results, result)
}

// serverInventory is that of the three services.
type serverInventory struct {
	*servers.Servers

	space servers.Space
}

func (i serverInventory) rows(ctx context.Context) ([]row, error) {
	return query[row](ctx, i.space,
		`SELECT id::text, tag, status, gone, files_deleted, source_key, claim_key, result_key, failure_code, result_pages, generation,
			requested_at IS NOT NULL AS submitted, withdrawn
		FROM jobs`)
}

func (i serverInventory) unsent(ctx context.Context) ([]unsent, error) {
	return query[unsent](ctx, i.space, `SELECT job_id::text AS job, generation, event, state, failures FROM deliveries WHERE state <> 'delivered'`)
}

// query reads rows from the database.
func query[T any](ctx context.Context, space servers.Space, statement string) ([]T, error) {
	config, err := pgx.ParseConfig(space.DatabaseURL)
	if err != nil {
		return nil, err
	}
	config.Password = space.DatabasePassword
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("read the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	found, err := connection.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("read the database: %w", err)
	}
	return pgx.CollectRows(found, pgx.RowToStructByName[T])
}

func (i serverInventory) messages(ctx context.Context) (map[string]int, error) {
	return i.RabbitMQ.Messages(ctx, i.space.Vhost)
}

func (i serverInventory) stored(ctx context.Context) (s stored, err error) {
	if s.sources, err = i.MinIO.Objects(ctx, i.space.SourcesBucket); err != nil {
		return s, err
	}
	s.results, err = i.MinIO.Objects(ctx, i.space.ResultsBucket)
	return s, err
}

func (i serverInventory) pass(ctx context.Context) error {
	past := time.Now().Add(-age)
	for bucket, orphan := range map[string]string{i.space.SourcesBucket: orphan, i.space.ResultsBucket: orphanResult} {
		if err := i.MinIO.PutObject(ctx, bucket, orphan, []byte("orphan")); err != nil {
			return err
		}
		if err := i.MinIO.Age(ctx, bucket, past); err != nil {
			return err
		}
	}
	if err := i.MinIO.PutObject(ctx, i.space.SourcesBucket, youngOrphan, []byte("orphan")); err != nil {
		return err
	}
	for _, statement := range []string{
		"UPDATE jobs SET due_at = clock_timestamp(), expires_at = clock_timestamp() WHERE gone <> ''",
		"UPDATE chores SET next_at = clock_timestamp()",
	} {
		if err := i.PostgreSQL.ExecuteIn(ctx, i.space.Vhost, statement); err != nil {
			return err
		}
	}
	return nil
}

func (serverInventory) check(context.Context) (string, error) { return "", nil }

// dirInventory is the data directory of the single process.
type dirInventory struct {
	datadir.Dir

	process *replica
}

func (i dirInventory) rows(ctx context.Context) (rows []row, err error) {
	const statement = `SELECT id, tag, status, gone, files_deleted, source_key, claim_key, result_key, failure_code, result_pages, generation,
		requested_at IS NOT NULL, withdrawn FROM jobs`
	err = i.Query(ctx, statement, func(found *sql.Rows) error {
		var id []byte
		var r row
		err := found.Scan(&id, &r.Tag, &r.Status, &r.Gone, &r.FilesDeleted, &r.SourceKey, &r.ClaimKey, &r.ResultKey, &r.FailureCode, &r.ResultPages,
			&r.Generation, &r.Submitted, &r.Withdrawn)
		if err != nil {
			return err
		}
		r.ID = uuid.UUID(id).String()
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

func (i dirInventory) unsent(ctx context.Context) (all []unsent, err error) {
	const statement = `SELECT job_id, generation, event, state, failures FROM deliveries WHERE state <> 'delivered'`
	err = i.Query(ctx, statement, func(found *sql.Rows) error {
		var id []byte
		var one unsent
		if err := found.Scan(&id, &one.Generation, &one.Event, &one.State, &one.Failures); err != nil {
			return err
		}
		one.Job = uuid.UUID(id).String()
		all = append(all, one)
		return nil
	})
	return all, err
}

// messages omits the marks: there is a new one every few seconds.
func (i dirInventory) messages(ctx context.Context) (map[string]int, error) {
	counts := make(map[string]int)
	const statement = `SELECT queue, count(*) FROM messages WHERE type NOT LIKE '%.StatusMarked' GROUP BY queue`
	err := i.Query(ctx, statement, func(found *sql.Rows) error {
		var queue string
		var n int
		err := found.Scan(&queue, &n)
		counts[queue] = n
		return err
	})
	return counts, err
}

func (i dirInventory) stored(context.Context) (s stored, err error) {
	if s.sources, err = i.Keys(datadir.Sources); err != nil {
		return s, err
	}
	s.results, err = i.Keys(datadir.Results)
	return s, err
}

// pass kills the process: a process that follows a crash would delete the orphans when it stops. The next process must not notice the crash,
// for the same reason.
func (i dirInventory) pass(ctx context.Context) error {
	i.process.held.Store(true)
	defer i.process.held.Store(false)
	if err := i.process.Kill(); err != nil {
		return err
	}
	err := errors.Join(
		i.Put(datadir.Sources, orphan, []byte("orphan")), i.Put(datadir.Results, orphanResult, []byte("orphan")), i.Age(time.Now().Add(-age)),
		i.Put(datadir.Sources, youngOrphan, []byte("orphan")),
		i.ExpireTombstones(ctx), i.ForgetCrash(),
	)
	if err != nil {
		return err
	}
	return i.process.Start(ctx)
}

// check stops the process for good, and runs `docmill check`.
func (i dirInventory) check(ctx context.Context) (string, error) {
	i.process.held.Store(true)
	if err := errors.Join(i.process.Stop(ctx), i.Remove(datadir.Sources, youngOrphan)); err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, filepath.Join(i.process.binaries, "docmill"), "check", "--data="+i.process.data)
	output, err := command.CombinedOutput()
	if exit, ended := errors.AsType[*exec.ExitError](err); ended {
		return fmt.Sprintf("docmill check: %v: %s", exit, output), nil
	}
	return "", err
}
