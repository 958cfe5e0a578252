package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/stored"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres/internal/query"
)

// Enqueued implements [jobstore.Deliveries].
func (s *Store) Enqueued() <-chan struct{} { return s.bell }

// enqueue stores the deliveries that a batch causes, in one round trip, and reports whether there are any.
func enqueue(ctx context.Context, queries *query.Queries, batch *fold.Batch) (bool, error) {
	caused := batch.Deliveries()
	if len(caused) == 0 {
		return false, nil
	}
	rows := make([]query.InsertDeliveryParams, len(caused))
	for i, d := range caused {
		rows[i] = query.InsertDeliveryParams{
			JobID: d.Job, Generation: d.Generation, Event: d.Event, Url: d.URL, Receiver: d.Receiver, Payload: d.Payload,
		}
	}
	var failures []error
	queries.InsertDelivery(ctx, rows).Exec(func(_ int, err error) {
		if err != nil && len(failures) == 0 {
			failures = append(failures, err)
		}
	})
	if err := errors.Join(failures...); err != nil {
		return false, fmt.Errorf("enqueue webhooks: %w", err)
	}
	return true, nil
}

// Receivers implements [jobstore.Deliveries].
func (s *Store) Receivers(ctx context.Context, after string, limit int) ([]jobstore.Receiver, error) {
	var receivers []jobstore.Receiver
	err := s.read(ctx, func(ctx context.Context, queries *query.Queries) error {
		rows, err := queries.ListReceivers(ctx, query.ListReceiversParams{After: after, MaxRows: int32(limit)})
		for _, row := range rows {
			receivers = append(receivers, jobstore.Receiver{Name: row.Receiver, Due: row.Due})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the receivers of webhooks: %w", err)
	}
	return receivers, nil
}

// LeaseDeliveries implements [jobstore.Deliveries]. It skips deliveries that another transaction has locked.
func (s *Store) LeaseDeliveries(
	ctx context.Context, receiver string, limit int, duration time.Duration,
) ([]delivery.Leased, error) {
	var leased []delivery.Leased
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		rows, err := queries.LeaseDeliveries(ctx, query.LeaseDeliveriesParams{
			Receiver: receiver, MaxRows: int32(limit), Duration: duration,
		})
		for _, row := range rows {
			leased = append(leased, delivery.Leased{
				Delivery: delivery.Delivery{
					Key:   delivery.Key{Job: row.JobID, Generation: row.Generation},
					Event: row.Event, URL: row.Url, Receiver: row.Receiver, Payload: row.Payload, State: delivery.Pending,
					EnqueuedAt: row.EnqueuedAt.UTC(), DueAt: row.DueAt.UTC(), Attempts: stored.ToAttempts(row.Attempts),
				},
				Lease: row.Lease, Failures: int(row.Failures), Age: row.Age,
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lease webhooks: %w", err)
	}
	return leased, nil
}

// SettleDelivery implements [jobstore.Deliveries].
func (s *Store) SettleDelivery(ctx context.Context, settlement delivery.Settlement) error {
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		settled, err := queries.SettleDelivery(ctx, query.SettleDeliveryParams{
			JobID: settlement.Job, Generation: settlement.Generation, Lease: settlement.Lease, State: settlement.State,
			Failures: int32(settlement.Failures), Delay: settlement.Delay, Attempts: stored.FromAttempts(settlement.Attempts),
		})
		if err != nil || settled == 0 {
			return err
		}
		err = queries.DelayLaterDeliveries(ctx, query.DelayLaterDeliveriesParams{
			JobID: settlement.Job, Generation: settlement.Generation, Delay: settlement.Delay,
		})
		if err != nil {
			return err
		}
		return queries.DeleteSettledDeliveries(ctx, settlement.Job)
	})
	if err != nil {
		return fmt.Errorf("settle a webhook: %w", err)
	}
	return nil
}

// Deliveries implements [jobstore.Deliveries].
func (s *Store) Deliveries(ctx context.Context, id uuid.UUID) ([]delivery.Delivery, error) {
	var deliveries []delivery.Delivery
	err := s.read(ctx, func(ctx context.Context, queries *query.Queries) error {
		rows, err := queries.ListDeliveries(ctx, query.ListDeliveriesParams{JobID: id, MaxRows: delivery.MaxListed})
		for _, row := range rows {
			deliveries = append(deliveries, delivery.Delivery{
				Key:   delivery.Key{Job: row.JobID, Generation: row.Generation},
				Event: row.Event, URL: row.Url, Receiver: row.Receiver, State: row.State,
				EnqueuedAt: row.EnqueuedAt.UTC(), DueAt: row.DueAt.UTC(), Attempts: stored.ToAttempts(row.Attempts),
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	slices.Reverse(deliveries)
	return deliveries, nil
}

// ResendDeliveries implements [jobstore.Deliveries]. The schema must be up to date; the store need not run.
func (s *Store) ResendDeliveries(ctx context.Context, id uuid.UUID) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	resent, err := query.New(s.pool).ResendDeliveries(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("send webhooks again: %w", err)
	}
	s.bell.Ring()
	return int(resent), nil
}

// ForgetDeliveries implements [jobstore.Deliveries].
func (s *Store) ForgetDeliveries(ctx context.Context, id uuid.UUID) error {
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) error {
		if err := queries.MarkDeliveries(ctx, id); err != nil {
			return err
		}
		return queries.DeleteSettledDeliveries(ctx, id)
	})
	if err != nil {
		return fmt.Errorf("delete the webhooks of a job: %w", err)
	}
	return nil
}

// DeleteDeliveries implements [jobstore.Deliveries]. It skips deliveries that another transaction has locked.
func (s *Store) DeleteDeliveries(ctx context.Context, age time.Duration, limit int) (int, error) {
	var deleted int64
	err := s.transact(ctx, func(ctx context.Context, queries *query.Queries) (err error) {
		deleted, err = queries.DeleteDeliveries(ctx, query.DeleteDeliveriesParams{Age: age, MaxRows: int32(limit)})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete webhooks: %w", err)
	}
	return int(deleted), nil
}

// DeliveryBacklog implements [jobstore.Deliveries].
func (s *Store) DeliveryBacklog(ctx context.Context) (delivery.Backlog, error) {
	var backlog delivery.Backlog
	err := s.read(ctx, func(ctx context.Context, queries *query.Queries) error {
		row, err := queries.CountPendingDeliveries(ctx, delivery.MaxCounted)
		backlog = delivery.Backlog{Pending: int(row.Pending), Overdue: max(row.Overdue, 0)}
		return err
	})
	if err != nil {
		return delivery.Backlog{}, fmt.Errorf("count webhooks: %w", err)
	}
	return backlog, nil
}

// read reads from the database, within the setting database-read-timeout.
func (s *Store) read(ctx context.Context, do func(context.Context, *query.Queries) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	return do(ctx, query.New(s.pool))
}
