package sqlitequeue

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/sqlite"
)

// state is the column of that name. Its values stand in the SQL statements too.
type state int

const (
	ready   state = 0
	leased  state = 1
	delayed state = 2
	dead    state = 3
)

// delivery is a message that was claimed.
type delivery struct {
	*message.Delivery

	id int64 // of its row
}

// insert adds a message to a queue.
func insert(
	ctx context.Context, tx *sqlite.Tx, id int64, queue message.Queue, e message.Envelope, availableAt time.Time,
) error {
	in, at := ready, int64(0)
	if !availableAt.IsZero() {
		in, at = delayed, availableAt.UnixMilli()
	}
	trace := []byte{}
	if len(e.Trace) > 0 {
		var err error
		if trace, err = json.Marshal(e.Trace); err != nil {
			return fmt.Errorf("encode the trace: %w", err)
		}
	}
	body := e.Body
	if body == nil { // the driver would store NULL
		body = []byte{}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO messages (id, queue, state, available_at, deliveries, death,
			type, content_type, message_id, job_id, app, published_at, attempt, trace, body)
		VALUES (?, ?, ?, ?, 0, '', ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, int(queue), int(in), at,
		e.Type, e.ContentType, e.ID, e.JobID, e.App, e.PublishedAt.UnixMicro(), max(e.Attempt, 1), string(trace), body)
	return err
}

// claim leases the first messages of a queue that are ready, at most limit, and returns them in order.
func claim(ctx context.Context, tx *sqlite.Tx, queue message.Queue, limit int) ([]delivery, error) {
	// With "LIMIT ?" alone, SQLite prepares the statement anew for each value: a third of the time of a job.
	rows, err := tx.QueryContext(ctx, `UPDATE messages SET state = 1
		WHERE id IN (SELECT id FROM messages WHERE queue = ? AND state = 0 ORDER BY id LIMIT ? + 0)
		RETURNING `+columns, int(queue), limit)
	if err != nil {
		return nil, err
	}
	claimed, err := scanAll(rows)
	// SQLite returns them in no particular order.
	slices.SortFunc(claimed, func(a, b delivery) int { return cmp.Compare(a.id, b.id) })
	return claimed, err
}

// columns are those that scan reads.
const columns = "id, deliveries, death, type, content_type, message_id, job_id, app, published_at, attempt, trace, body"

// scanAll reads and closes rows.
func scanAll(rows *sql.Rows) ([]delivery, error) {
	defer rows.Close()
	var all []delivery
	for rows.Next() {
		d, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

func scan(rows *sql.Rows) (delivery, error) {
	d := delivery{Delivery: &message.Delivery{}}
	var published int64
	var trace string
	err := rows.Scan(&d.id, &d.DeliveryCount, &d.Death, &d.Type, &d.ContentType, &d.ID, &d.JobID, &d.App, &published,
		&d.Attempt, &trace, &d.Body)
	if err != nil {
		return d, err
	}
	d.PublishedAt = time.UnixMicro(published).UTC()
	if trace == "" {
		return d, nil
	}
	if err := json.Unmarshal([]byte(trace), &d.Trace); err != nil {
		return d, fmt.Errorf("decode the trace of message %d: %w", d.id, err)
	}
	return d, nil
}

// remove deletes a message.
func remove(ctx context.Context, tx *sqlite.Tx, id int64) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM messages WHERE id = ?", id)
	return err
}

// release returns a message to its queue, and counts its delivery if counted is 1.
func release(ctx context.Context, tx *sqlite.Tx, id int64, counted int) error {
	_, err := tx.ExecContext(ctx, "UPDATE messages SET state = 0, deliveries = deliveries + ? WHERE id = ?", counted, id)
	return err
}

// graveOf returns where the dead messages of a queue are.
func graveOf(queue message.Queue) (message.Queue, state) {
	switch queue {
	case message.Commands, message.Returned:
		return message.DeadCommands, ready
	case message.Events:
		return message.DeadEvents, ready
	default:
		return queue, dead
	}
}

// bury moves a message to its dead-letter queue, or marks it as dead.
func bury(ctx context.Context, tx *sqlite.Tx, queue message.Queue, id int64, why message.Death) error {
	to, in := graveOf(queue)
	_, err := tx.ExecContext(ctx, "UPDATE messages SET queue = ?, state = ?, deliveries = 0, death = ? WHERE id = ?",
		int(to), int(in), string(why), id)
	return err
}

// crashLimit is how often the process may die while a message is leased before the message is dead-lettered. It is far
// above the delivery limit: documents are converted in processes of their own, so a message is rarely the cause when
// this process dies, and killing the process five times in a row must not fail the jobs that were in progress.
const crashLimit = 20

// releaseAll releases the leases of a process that died, counts the crash, and dead-letters messages that have exceeded
// the limit.
func releaseAll(ctx context.Context, tx *sqlite.Tx) error {
	for _, queue := range storedQueues {
		to, in := graveOf(queue)
		_, err := tx.ExecContext(ctx, `UPDATE messages SET queue = ?, state = ?, deliveries = 0, crashes = 0, death = ?
			WHERE queue = ? AND state = 1 AND crashes >= ?`,
			int(to), int(in), string(message.DeliveryLimit), int(queue), crashLimit)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE messages SET state = 0, crashes = crashes + 1 WHERE queue = ? AND state = 1",
			int(queue))
		if err != nil {
			return err
		}
	}
	return nil
}

// promote makes those delayed messages, which are all in Returned, ready whose delay has passed, or would end after latest:
// the clock has been set back since. It returns their number, and when the next one is due; the zero time if there is none.
func promote(ctx context.Context, tx *sqlite.Tx, now, latest time.Time) (int, time.Time, error) {
	result, err := tx.ExecContext(ctx,
		"UPDATE messages SET state = 0, available_at = 0 WHERE state = 2 AND (available_at <= ? OR available_at > ?)",
		now.UnixMilli(), latest.UnixMilli())
	if err != nil {
		return 0, time.Time{}, err
	}
	promoted, err := result.RowsAffected()
	if err != nil {
		return 0, time.Time{}, err
	}
	var next sql.NullInt64
	err = tx.QueryRowContext(ctx, "SELECT min(available_at) FROM messages WHERE state = 2").Scan(&next)
	if err != nil || !next.Valid {
		return int(promoted), time.Time{}, err
	}
	return int(promoted), time.UnixMilli(next.Int64), nil
}

// count returns how many messages of a queue are ready.
func count(ctx context.Context, tx *sqlite.Tx, queue message.Queue) (int, error) {
	var n int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM messages WHERE queue = ? AND state = 0", int(queue)).Scan(&n)
	return n, err
}
