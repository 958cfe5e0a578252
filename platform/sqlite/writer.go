package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Bounds on one transaction. They bound how long the first write in it waits for the last one.
const (
	maxWrites   = 512
	maxGathered = 20 * time.Millisecond
)

// writer is the one connection that writes, and the goroutine that serves it.
type writer struct {
	db    *DB
	pool  *sql.DB
	conn  *sql.Conn
	tx    *statements
	queue chan *request
	done  chan struct{}

	// level is what PRAGMA synchronous was set to, unless the database is volatile.
	level    Durability
	volatile bool
	// commits counts transactions since the latest checkpoint.
	commits int
}

// bootstrap creates what this package itself keeps in the database.
const bootstrap = `
CREATE TABLE IF NOT EXISTS schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS space_probe (data BLOB NOT NULL) STRICT;`

func openWriter(ctx context.Context, path string, options Options, db *DB) (*writer, error) {
	synchronous := "synchronous(normal)"
	if options.Volatile {
		synchronous = "synchronous(off)"
	}
	more := []string{
		"auto_vacuum(incremental)", // effective in a new database only
		"journal_mode(wal)", synchronous,
		fmt.Sprintf("wal_autocheckpoint(%d)", maxLogFrames), fmt.Sprintf("journal_size_limit(%d)", maxLogFrames*pageSize),
	}
	if options.MaxPages > 0 {
		more = append(more, fmt.Sprintf("max_page_count(%d)", options.MaxPages))
	}
	pool, err := sql.Open("sqlite", source(path, more...))
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	w := &writer{
		db: db, pool: pool, conn: conn, tx: newStatements(conn), volatile: options.Volatile,
		queue: make(chan *request, maxWrites), done: make(chan struct{}),
	}
	if err := w.prepare(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *writer) prepare(ctx context.Context) error {
	var mode string
	if err := w.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the journal mode is %s instead of wal: the file system lacks shared memory", mode)
	}
	_, err := w.conn.ExecContext(ctx, bootstrap)
	return err
}

// close checkpoints, because it closes the last connection, and closes the connection.
func (w *writer) close() error {
	w.tx.close()
	return errors.Join(w.conn.Close(), w.pool.Close())
}

// run serves writes until the queue is closed and empty.
func (w *writer) run() {
	defer close(w.done)
	var next *request
	for {
		if next == nil {
			var open bool
			if next, open = <-w.queue; !open {
				return
			}
		}
		next = w.transaction(next)
		w.maintain()
	}
}

// transaction runs writes in one transaction: the first, those that wait, and those that come until it has run them. It
// returns a write that it has taken but that belongs into the next one.
func (w *writer) transaction(first *request) (next *request) {
	began := time.Now()
	batch, durability := w.gather(first)
	err := w.begin(durability)
	ran := 0
	for ; err == nil; ran++ {
		if ran == len(batch) {
			if ran >= maxWrites || time.Since(began) > maxGathered {
				break
			}
			r := w.poll()
			if r != nil && r.durability > durability { // too late to change the level of this transaction
				next, r = r, nil
			}
			if r == nil {
				break
			}
			batch = append(batch, r)
		}
		err = w.write(batch[ran])
	}
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		_, _ = w.exec("ROLLBACK") // fails if SQLite has done it
	}
	w.settle(batch, durability, Classify(err))
	return next
}

// gather returns the writes that wait, and the durability that they need together.
func (w *writer) gather(first *request) ([]*request, Durability) {
	batch, durability := []*request{first}, first.durability
	for len(batch) < maxWrites {
		r := w.poll()
		if r == nil {
			break
		}
		batch, durability = append(batch, r), max(durability, r.durability)
	}
	return batch, durability
}

// poll returns a write that waits; nil if there is none.
func (w *writer) poll() *request {
	select {
	case r := <-w.queue:
		return r // nil if the queue is closed
	default:
		return nil
	}
}

// begin begins a transaction with a level of durability, which cannot be changed within one.
func (w *writer) begin(durability Durability) error {
	if w.level != durability && !w.volatile {
		// Not prepared: SQLite sets the level while it parses the statement.
		level := map[Durability]string{Relaxed: "normal", Durable: "full"}[durability]
		if _, err := w.conn.ExecContext(context.Background(), "PRAGMA synchronous = "+level); err != nil {
			return err
		}
		w.level = durability
	}
	_, err := w.exec("BEGIN IMMEDIATE")
	return err
}

// write runs one write. Its failure is the request's error. The error that it returns has ended the whole transaction.
func (w *writer) write(r *request) error {
	if !r.state.CompareAndSwap(waiting, begun) {
		return nil // the caller has withdrawn it
	}
	if _, err := w.exec("SAVEPOINT request"); err != nil {
		return err
	}
	r.tx = &Tx{statements: w.tx}
	r.err = r.run(r.ctx, r.tx)
	if r.err != nil {
		r.err = Classify(r.err)
		if _, err := w.exec("ROLLBACK TO request"); err != nil { // SQLite has rolled back everything
			return errors.Join(r.err, err)
		}
	}
	_, err := w.exec("RELEASE request")
	return err
}

func (w *writer) commit() error {
	_, err := w.exec("COMMIT")
	if err != nil && uncertain(err) {
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return err
}

// settle delivers the results. err is why nothing is stored.
func (w *writer) settle(batch []*request, durability Durability, err error) {
	w.commits++
	outcome := "committed"
	if err != nil {
		outcome = "failed"
		w.db.log.Debug("a transaction failed", zap.Int("writes", len(batch)), zap.Error(err))
	}
	w.db.metrics.commits.WithLabelValues(durability.String(), outcome).Inc()
	w.db.metrics.writes.Observe(float64(len(batch)))
	full := errors.Is(err, ErrFull)
	for _, r := range batch {
		if r.err == nil {
			r.err = err
		}
		full = full || errors.Is(r.err, ErrFull)
		if r.err == nil && r.tx != nil {
			for _, f := range r.tx.afterCommit {
				f()
			}
		}
		w.db.metrics.duration.WithLabelValues(r.durability.String()).Observe(time.Since(r.asked).Seconds())
		close(r.done)
	}
	w.noteSpace(full)
}

// noteSpace records whether there is space, for Check.
func (w *writer) noteSpace(full bool) {
	if w.db.full.Swap(full) == full {
		return
	}
	if full {
		w.db.log.Error("the database accepts no writes: the disk is full or read-only", zap.String("file", w.db.path))
	} else {
		w.db.log.Info("the database accepts writes again")
	}
}

// exec runs a statement of the writer itself.
func (w *writer) exec(query string) (sql.Result, error) {
	return w.tx.ExecContext(context.Background(), query)
}
