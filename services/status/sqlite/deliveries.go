package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/internal/stored"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/sqlite/internal/query"
)

// Enqueued implements [jobstore.Deliveries].
func (s *Store) Enqueued() <-chan struct{} { return s.bell }

// enqueue stores deliveries.
func enqueue(ctx context.Context, queries *query.Queries, deliveries []delivery.Delivery) error {
	now := time.Now().UnixMicro()
	for _, d := range deliveries {
		err := queries.InsertDelivery(ctx, query.InsertDeliveryParams{
			JobID: d.Job[:], Generation: d.Generation, Event: d.Event, Url: d.URL, Receiver: d.Receiver, Payload: d.Payload, Now: now,
		})
		if err != nil {
			return fmt.Errorf("enqueue a webhook: %w", err)
		}
	}
	return nil
}

// releaseLeases makes the deliveries due that a process was attempting when it was killed: there is no other process now.
func (s *Store) releaseLeases(ctx context.Context) error {
	err := s.db.Write(ctx, sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
		return query.New(tx).ReleaseLeases(ctx, time.Now().UnixMicro())
	})
	if err != nil {
		return fmt.Errorf("release the leases of webhooks: %w", err)
	}
	return nil
}

// Receivers implements [jobstore.Deliveries]. Single reads of a prepared statement take microseconds each.
func (s *Store) Receivers(ctx context.Context, after string, limit int) ([]jobstore.Receiver, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	queries := query.New(s.db.Reader())
	var receivers []jobstore.Receiver
	for range limit {
		row, err := queries.NextReceiver(ctx, after)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list the receivers of webhooks: %w", sqlite.Classify(err))
		}
		receivers = append(receivers, jobstore.Receiver{Name: row.Receiver, Due: row.DueAt <= time.Now().UnixMicro()})
		after = row.Receiver
	}
	return receivers, nil
}

// LeaseDeliveries implements [jobstore.Deliveries].
func (s *Store) LeaseDeliveries(
	ctx context.Context, receiver string, limit int, duration time.Duration,
) ([]delivery.Leased, error) {
	var leased []delivery.Leased
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		leased = nil
		now := time.Now()
		rows, err := queries.LeaseDeliveries(ctx, query.LeaseDeliveriesParams{
			Receiver: receiver, MaxRows: int64(limit), Now: now.UnixMicro(), Until: now.Add(duration).UnixMicro(),
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			d, err := fromDelivery(row)
			if err != nil {
				return err
			}
			d.Payload = row.Payload
			leased = append(leased, delivery.Leased{
				Delivery: d, Lease: row.Lease, Failures: int(row.Failures), Age: now.Sub(d.EnqueuedAt),
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lease webhooks: %w", err)
	}
	return leased, nil
}

// fromDelivery returns the delivery of a row without its payload.
func fromDelivery(row query.Delivery) (delivery.Delivery, error) {
	var attempts []stored.Attempt
	if err := json.Unmarshal([]byte(row.Attempts), &attempts); err != nil {
		return delivery.Delivery{}, fmt.Errorf("read the attempts of a webhook: %w", err)
	}
	return delivery.Delivery{
		Key:   delivery.Key{Job: uuid.UUID(row.JobID), Generation: row.Generation},
		Event: row.Event, URL: row.Url, Receiver: row.Receiver, State: row.State,
		EnqueuedAt: time.UnixMicro(row.EnqueuedAt).UTC(), DueAt: time.UnixMicro(row.DueAt).UTC(),
		Attempts: stored.ToAttempts(attempts),
	}, nil
}

// SettleDelivery implements [jobstore.Deliveries].
func (s *Store) SettleDelivery(ctx context.Context, settlement delivery.Settlement) error {
	attempts, err := json.Marshal(stored.FromAttempts(settlement.Attempts))
	if err != nil {
		return fmt.Errorf("encode the attempts of a webhook: %w", err)
	}
	err = s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		due := time.Now().Add(settlement.Delay).UnixMicro()
		settled, err := queries.SettleDelivery(ctx, query.SettleDeliveryParams{
			JobID: settlement.Job[:], Generation: settlement.Generation, Lease: settlement.Lease, State: settlement.State,
			Failures: int32(settlement.Failures), DueAt: due, Attempts: string(attempts),
		})
		if err != nil || settled == 0 {
			return err
		}
		err = queries.DelayLaterDeliveries(ctx, query.DelayLaterDeliveriesParams{
			JobID: settlement.Job[:], Generation: settlement.Generation, DueAt: due,
		})
		if err != nil {
			return err
		}
		return queries.DeleteSettledDeliveries(ctx, settlement.Job[:])
	})
	if err != nil {
		return fmt.Errorf("settle a webhook: %w", err)
	}
	return nil
}

// Deliveries implements [jobstore.Deliveries].
func (s *Store) Deliveries(ctx context.Context, id uuid.UUID) ([]delivery.Delivery, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	rows, err := query.New(s.db.Reader()).ListDeliveries(ctx, query.ListDeliveriesParams{JobID: id[:], MaxRows: delivery.MaxListed})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", sqlite.Classify(err))
	}
	var deliveries []delivery.Delivery
	for _, row := range slices.Backward(rows) {
		d, err := fromDelivery(row)
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, d)
	}
	return deliveries, nil
}

// ResendDeliveries implements [jobstore.Deliveries]. The tables must be up to date; the store need not run.
func (s *Store) ResendDeliveries(ctx context.Context, id uuid.UUID) (int, error) {
	var resent int64
	err := s.db.Write(ctx, sqlite.Durable, func(ctx context.Context, tx *sqlite.Tx) (err error) {
		resent, err = query.New(tx).ResendDeliveries(ctx, query.ResendDeliveriesParams{JobID: id[:], Now: time.Now().UnixMicro()})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("send webhooks again: %w", err)
	}
	s.bell.Ring()
	return int(resent), nil
}

// ForgetDeliveries implements [jobstore.Deliveries].
func (s *Store) ForgetDeliveries(ctx context.Context, id uuid.UUID) error {
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		if err := queries.MarkDeliveries(ctx, id[:]); err != nil {
			return err
		}
		return queries.DeleteSettledDeliveries(ctx, id[:])
	})
	if err != nil {
		return fmt.Errorf("delete the webhooks of a job: %w", err)
	}
	return nil
}

// DeleteDeliveries implements [jobstore.Deliveries].
func (s *Store) DeleteDeliveries(ctx context.Context, age time.Duration, limit int) (int, error) {
	var deleted int64
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) (err error) {
		deleted, err = queries.DeleteDeliveries(ctx, query.DeleteDeliveriesParams{
			EnqueuedBefore: time.Now().Add(-age).UnixMicro(), MaxRows: int64(limit),
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete webhooks: %w", err)
	}
	return int(deleted), nil
}

// DeliveryBacklog implements [jobstore.Deliveries].
func (s *Store) DeliveryBacklog(ctx context.Context) (delivery.Backlog, error) {
	if err := s.ready(); err != nil {
		return delivery.Backlog{}, err
	}
	now := time.Now()
	row, err := query.New(s.db.Reader()).CountPendingDeliveries(ctx, query.CountPendingDeliveriesParams{
		Now: now.UnixMicro(), MaxRows: delivery.MaxCounted,
	})
	if err != nil {
		return delivery.Backlog{}, fmt.Errorf("count webhooks: %w", sqlite.Classify(err))
	}
	return delivery.Backlog{Pending: int(row.Pending), Overdue: time.Duration(max(now.UnixMicro()-row.FirstDueAt, 0)) * time.Microsecond}, nil
}

// transact runs work in a relaxed transaction.
func (s *Store) transact(ctx context.Context, work func(context.Context, *query.Queries) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.db.Write(ctx, sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
		return work(ctx, query.New(tx))
	})
}
