package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// Audience is who hears of changes. Its methods must not block.
type Audience interface {
	// Wake tells about jobs whose state has changed.
	Wake(ids ...uuid.UUID)
	// WakeAll says that any number of changes may have been missed.
	WakeAll()
}

// Listener hears of the changes that any replica makes, on one connection outside the pool.
type Listener struct {
	store    *Store
	audience Audience
	log      *zap.Logger
}

// NewListener makes a listener on the store's database. It connects when it runs.
func NewListener(store *Store, audience Audience, log *zap.Logger) *Listener {
	return &Listener{store: store, audience: audience, log: log}
}

// settled is how long a connection has to live before the next delay is short again.
const settled = 10 * time.Second

// Run listens until drain is closed, and connects again whenever the connection is lost. It calls ready at once; whoever
// waits for changes meanwhile reads again from time to time. Run is called once; it is a part of package host.
func (l *Listener) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-drain:
		case <-ctx.Done():
		}
	}()
	ready()
	delays, told := newDelays(), ""
	for {
		began := time.Now()
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > settled {
			delays.Reset()
			told = ""
		}
		if text := err.Error(); text != told {
			told = text
			l.log.Warn("not listening for changes; trying until it works", zap.Error(err))
		}
		if !wait(ctx, drain, delays.NextBackOff()) {
			return nil
		}
	}
}

// listen listens on one connection until it is lost.
func (l *Listener) listen(ctx context.Context) error {
	connection, err := pgx.ConnectConfig(ctx, l.store.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	if _, err := connection.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l.log.Info("listening for changes")
	l.audience.WakeAll() // from here on nothing is missed; up to here everything may have been
	for {
		notification, err := connection.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait for a notification: %w", err)
		}
		l.audience.Wake(idsOf(notification.Payload)...)
	}
}
