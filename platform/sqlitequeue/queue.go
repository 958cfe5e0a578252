package sqlitequeue

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// component is the name of the tables of this package in the database.
const component = "messages"

// storedQueues are the queues that have messages in the table.
var storedQueues = []message.Queue{message.Commands, message.Returned, message.Events, message.DeadCommands, message.DeadEvents}

// deliveryLimit returns how often a message of a queue may be returned and counted.
func deliveryLimit(queue message.Queue) int {
	switch queue {
	case message.Commands:
		return message.CommandsDeliveryLimit
	case message.Returned:
		return message.ReturnedDeliveryLimit
	case message.Events:
		return message.EventsDeliveryLimit
	default:
		return math.MaxInt32
	}
}

// Options are the optional parts of a Queue. Zero values select the defaults.
type Options struct {
	// Log receives problems. Default: none.
	Log *zap.Logger
	// Metrics takes the metrics of the queues. Default: none.
	Metrics prometheus.Registerer
	// MaxCommands is how many messages may wait in Commands. Default message.MaxCommands.
	MaxCommands int
}

// Queue is the queues of one database. There must be only one of them for a database at a time.
type Queue struct {
	db          *sqlite.DB
	log         *zap.Logger
	maxCommands int
	// delayFactor shortens delays in tests.
	delayFactor   float64
	announcements fanOut
	// progress is message.Progress. It exists in memory only.
	progress    *mailbox
	dispatchers map[message.Queue]*dispatcher

	// nextID is the id of the next message. Only functions on the database's writer use it. Ids are not used again while
	// the process lives, so that a late acknowledgment never means another message.
	nextID int64

	mu sync.Mutex
	// timer fires at due, when the next delay ends. It is nil if there is none.
	timer *time.Timer
	due   time.Time
}

// Open creates the tables if there are none, and releases what a previous process had claimed when it died.
func Open(ctx context.Context, db *sqlite.DB, options Options) (*Queue, error) {
	if options.Log == nil {
		options.Log = zap.NewNop()
	}
	if options.MaxCommands == 0 {
		options.MaxCommands = message.MaxCommands
	}
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, component, scripts); err != nil {
		return nil, fmt.Errorf("open the message queue: %w", err)
	}
	q := &Queue{
		db: db, log: options.Log, maxCommands: options.MaxCommands, delayFactor: 1, progress: newMailbox(message.MaxProgress),
		dispatchers: map[message.Queue]*dispatcher{},
	}
	for _, queue := range storedQueues {
		q.dispatchers[queue] = &dispatcher{}
	}
	if err := db.Write(ctx, sqlite.Relaxed, q.restore); err != nil {
		return nil, fmt.Errorf("open the message queue: %w", err)
	}
	q.registerDepths(options.Metrics)
	return q, nil
}

// restore releases what consumers had claimed, and counts the messages in the table.
func (q *Queue) restore(ctx context.Context, tx *sqlite.Tx) error {
	if err := releaseAll(ctx, tx); err != nil {
		return fmt.Errorf("release leases: %w", err)
	}
	_, next, err := promote(ctx, tx, time.Now(), latest())
	if err != nil {
		return fmt.Errorf("promote delayed messages: %w", err)
	}
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) + 1 FROM messages").Scan(&q.nextID); err != nil {
		return err
	}
	counts := map[message.Queue]int{}
	for _, queue := range storedQueues {
		if counts[queue], err = count(ctx, tx, queue); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() {
		for queue, n := range counts {
			q.dispatchers[queue].add(n)
		}
		q.schedule(next)
	})
	return nil
}

// errQueueFull means that Commands holds as many messages as it may.
var errQueueFull = errors.New("too many messages wait")

// enqueue stores a message in queues, and after a delay if that is positive.
func (q *Queue) enqueue(
	ctx context.Context, durability sqlite.Durability, e message.Envelope, delay time.Duration, queues ...message.Queue,
) error {
	var availableAt time.Time
	if delay > 0 {
		availableAt = time.Now().Add(time.Duration(float64(delay) * q.delayFactor))
	}
	return q.db.Write(ctx, durability, func(ctx context.Context, tx *sqlite.Tx) error {
		for _, queue := range queues {
			if queue == message.Commands && q.dispatchers[queue].waiting() >= q.maxCommands {
				return errQueueFull
			}
			if err := insert(ctx, tx, q.nextID, queue, e, availableAt); err != nil {
				return err
			}
			q.nextID++
		}
		tx.AfterCommit(func() {
			if delay > 0 {
				q.schedule(availableAt)
				return
			}
			for _, queue := range queues {
				q.dispatchers[queue].add(1)
			}
		})
		return nil
	})
}

// claim waits until messages are ready and leases up to limit of them. It returns none if ctx ended first.
func (q *Queue) claim(ctx context.Context, queue message.Queue, limit int) ([]delivery, error) {
	dispatcher := q.dispatchers[queue]
	promised := dispatcher.take(ctx, limit)
	if promised == 0 {
		return nil, nil
	}
	var claimed []delivery
	// If the statement ended with ctx, it would be unknown which messages were leased.
	err := q.db.Write(context.WithoutCancel(ctx), sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) (err error) {
		claimed, err = claim(ctx, tx, queue, promised)
		return err
	})
	if err != nil {
		dispatcher.add(promised)
		return nil, err
	}
	if len(claimed) < promised {
		q.log.Error("a queue has fewer messages than counted",
			zap.Stringer("queue", queue), zap.Int("counted", promised), zap.Int("found", len(claimed)))
	}
	return claimed, nil
}

// settlement is the outcome of a claimed message.
type settlement struct {
	delivery

	outcome message.Outcome
	// counted makes a Requeue count as a delivery.
	counted bool
}

// settle applies settlements in one transaction.
func (q *Queue) settle(ctx context.Context, queue message.Queue, settlements []settlement) error {
	return q.db.Write(context.WithoutCancel(ctx), sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
		released, buried := 0, 0
		for _, s := range settlements {
			var err error
			switch {
			case s.outcome == message.Ack, s.outcome == message.Suspend:
				err = remove(ctx, tx, s.id)
			case s.outcome == message.DeadLetter:
				buried++
				err = bury(ctx, tx, queue, s.id, message.Rejected)
			case !s.counted:
				released++
				err = release(ctx, tx, s.id, 0)
			case s.DeliveryCount < deliveryLimit(queue):
				released++
				err = release(ctx, tx, s.id, 1)
			default:
				buried++
				err = bury(ctx, tx, queue, s.id, message.DeliveryLimit)
			}
			if err != nil {
				return err
			}
		}
		tx.AfterCommit(func() {
			q.dispatchers[queue].add(released)
			if to, in := graveOf(queue); in == ready {
				q.dispatchers[to].add(buried)
			}
		})
		return nil
	})
}

// schedule makes the queue promote delayed messages at a time. The zero time means never.
func (q *Queue) schedule(at time.Time) {
	if at.IsZero() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer != nil {
		if !at.Before(q.due) {
			return
		}
		q.timer.Stop()
	}
	// Times are stored in milliseconds, rounded down.
	q.due, q.timer = at, time.AfterFunc(time.Until(at)+time.Millisecond, q.promote)
}

// latest returns when the longest delay of a message that is published now ends, with a minute to spare.
func latest() time.Time {
	delays := message.RetryDelays()
	return time.Now().Add(delays[len(delays)-1] + time.Minute)
}

// promoteAgain is how long to wait when delayed messages could not be made ready.
const promoteAgain = time.Second

// promote makes those messages ready whose delay has passed.
func (q *Queue) promote() {
	q.mu.Lock()
	q.timer = nil
	q.mu.Unlock()
	err := q.db.Write(context.Background(), sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
		promoted, next, err := promote(ctx, tx, time.Now(), latest())
		tx.AfterCommit(func() {
			q.dispatchers[message.Returned].add(promoted)
			q.schedule(next)
		})
		return err
	})
	if err != nil && !errors.Is(err, sqlite.ErrClosed) {
		q.log.Warn("delayed messages could not be made ready", zap.Error(err))
		q.schedule(time.Now().Add(promoteAgain))
	}
}
