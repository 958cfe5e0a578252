package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/services/status/jobstore"
)

const (
	// channel is the name that is passed to NOTIFY and LISTEN.
	channel = "docmill_jobs"
	// idsInPayload keeps a payload of ids with 37 characters each below PostgreSQL's limit of 8,000 bytes.
	idsInPayload = 200
)

// payloads encodes ids as the payloads of notifications: separated by spaces.
func payloads(ids []uuid.UUID) []string {
	var all []string
	for len(ids) > 0 {
		n := min(idsInPayload, len(ids))
		words := make([]string, n)
		for i, id := range ids[:n] {
			words[i] = id.String()
		}
		all = append(all, strings.Join(words, " "))
		ids = ids[n:]
	}
	return all
}

// idsOf decodes a payload. It skips what is not an id: a newer replica may write more.
func idsOf(payload string) []uuid.UUID {
	var ids []uuid.UUID
	for word := range strings.FieldsSeq(payload) {
		if id, err := uuid.Parse(word); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// Notify implements [jobstore.Store].
func (s *Store) Notify(audience jobstore.Audience) { s.audiences = append(s.audiences, audience) }

// listen notifies the audiences of changes until ctx ends, on one connection outside of the pool. It connects again
// whenever the connection is lost.
func (s *Store) listen(ctx context.Context) {
	if len(s.audiences) > 0 {
		_ = retry.Keep(ctx, reconnect, s.log, "not listening for changes; retrying", s.listenOnce) // until ctx ends
	}
}

// listenOnce listens on one connection until it is lost.
func (s *Store) listenOnce(ctx context.Context, up func()) error {
	connection, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	if _, err := connection.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	up()
	s.log.Info("listening for changes")
	for _, audience := range s.audiences { // from here on nothing is missed; until here everything may have been
		audience.WakeAll()
	}
	for {
		notification, err := connection.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait for a notification: %w", err)
		}
		ids := idsOf(notification.Payload)
		for _, audience := range s.audiences {
			audience.Wake(ids...)
		}
	}
}
