package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/disk"
)

// DBTX is what queries run on. It is the interface that sqlc generates.
type DBTX interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Options are the optional parts of a DB. Zero values select the defaults.
type Options struct {
	// Log receives problems of maintenance. Default: none.
	Log *zap.Logger
	// Metrics takes the metrics. Default: none.
	Metrics prometheus.Registerer
	// Readers is the number of connections that read. Default 4.
	Readers int
	// MaxPages limits the size of the database, in pages of 4 KiB. Default: SQLite's limit.
	MaxPages int
	// Volatile is for a database that is of no use after the death of the process. Nothing is synced: all writes are
	// [Relaxed], and a power loss may damage the file.
	Volatile bool
}

// DB is an open database. It is safe for concurrent use. It must be the only one for its file, in all processes: the
// caller locks the data directory.
type DB struct {
	path    string
	log     *zap.Logger
	metrics metrics
	tracer  trace.Tracer
	reader  *Reader
	writer  *writer

	mu     sync.RWMutex // guards closed and sending to the writer
	closed bool
	// full is set while writes fail for lack of space.
	full  atomic.Bool
	close func() error
}

// pageSize is SQLite's default.
const pageSize = 4096

// busyTimeout is how long to wait for a lock. Only other programs, such as the sqlite3 shell, hold any.
const busyTimeout = 5 * time.Second

// pragmas returns those of every connection. There is no mmap_size: an I/O error on a mapped page kills the process
// with SIGBUS, while one of read(2) is an error. temp_store keeps temporary tables out of TMPDIR.
func pragmas() []string {
	return []string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"foreign_keys(1)", "cache_size(-16384)", "temp_store(memory)",
	}
}

// Open opens the database file and creates it if there is none. The file is readable by its owner only.
func Open(ctx context.Context, path string, options Options) (*DB, error) {
	if options.Log == nil {
		options.Log = zap.NewNop()
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := create(path, options.Volatile); err != nil {
		return nil, fmt.Errorf("create the database: %w", err)
	}
	db := &DB{path: path, log: options.Log, metrics: newMetrics(options.Metrics), tracer: otel.Tracer(tracerName)}
	if db.writer, err = openWriter(ctx, path, options, db); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, Classify(err))
	}
	if db.reader, err = openReader(ctx, path, options.Readers); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, errors.Join(Classify(err), db.writer.pool.Close()))
	}
	db.close = sync.OnceValue(db.shut)
	go db.writer.run() //nolint:contextcheck // it outlives Open
	return db, nil
}

// create creates the file with its mode, which SQLite also uses for the log and the shared memory, and makes its name
// durable unless it is volatile, which SQLite does for its other files only.
func create(path string, volatile bool) error {
	const private = 0o600
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, private)
	if err != nil {
		return err
	}
	err = file.Chmod(private)
	if err := errors.Join(err, file.Close()); err != nil || volatile {
		return err
	}
	return disk.SyncDirectory(filepath.Dir(path))
}

// source returns the driver's name for the file, to be opened with pragmas in addition to those of every connection.
func source(path string, more ...string) string {
	query := url.Values{"_pragma": append(pragmas(), more...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// Reader returns the pool of reading connections. Its queries see everything that was committed before they began.
func (db *DB) Reader() *Reader { return db.reader }

// Close waits for the writes that have begun or wait, copies the log into the database and closes it. Later writes
// return ErrClosed.
func (db *DB) Close() error { return db.close() }

func (db *DB) shut() error {
	db.mu.Lock()
	db.closed = true
	close(db.writer.queue)
	db.mu.Unlock()
	<-db.writer.done
	err := db.reader.close() // first: a checkpoint cannot pass pages that a reader still needs
	_, failed := db.writer.checkpoint("TRUNCATE")
	return errors.Join(err, Classify(failed), db.writer.close())
}

// probeSize is how much Check tries to store when there was no space.
const probeSize = 16 * pageSize

// Check returns nil if the database can be read and written. If the latest write failed for lack of space, it tests
// whether there is space again.
func (db *DB) Check(ctx context.Context) error {
	if db.full.Load() {
		return db.Write(ctx, Durable, func(ctx context.Context, tx *Tx) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO space_probe (data) VALUES (zeroblob(?))", probeSize); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "DELETE FROM space_probe")
			return err
		})
	}
	var one int
	return Classify(db.reader.QueryRowContext(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1").Scan(&one))
}

// IntegrityCheck reads the whole database and returns ErrCorrupt, with the first problems, if it is damaged.
func (db *DB) IntegrityCheck(ctx context.Context) error {
	rows, err := db.reader.QueryContext(ctx, "PRAGMA integrity_check(10)")
	if err != nil {
		return Classify(err)
	}
	defer rows.Close()
	var problems []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return Classify(err)
		}
		problems = append(problems, line)
	}
	if err := rows.Err(); err != nil {
		return Classify(err)
	}
	if len(problems) == 1 && problems[0] == "ok" {
		return nil
	}
	return fmt.Errorf("%w: %s: %s", ErrCorrupt, db.path, strings.Join(problems, "; "))
}
