package storetest_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/jobstore"
)

// memoryDelivery is a row.
type memoryDelivery struct {
	delivery.Delivery

	lease    int64
	failures int
	// jobDeleted is set if the client has deleted the job.
	jobDeleted bool
}

// enqueue adds the deliveries that a batch causes. The caller holds d.mu.
func (d *memoryDatabase) enqueue(batch *fold.Batch) {
	caused := batch.Deliveries()
	if d.bugs[enqueueAgain] {
		caused = nil
		for _, j := range batch.Changed() {
			if one, wanted := delivery.Of(j); wanted {
				one.Generation = int32(len(d.deliveries))
				caused = append(caused, one)
			}
		}
	}
	for _, one := range caused {
		if _, known := d.deliveries[one.Key]; known || d.bugs[enqueueNothing] {
			continue
		}
		one.EnqueuedAt = time.Now()
		one.DueAt = one.EnqueuedAt
		d.deliveries[one.Key] = memoryDelivery{Delivery: one}
		if !d.bugs[bellSilent] {
			for _, bell := range d.bells {
				bell.Ring()
			}
		}
	}
}

func (s *memoryStore) Enqueued() <-chan struct{} { return s.bell }

// deliveries calls do with the rows, locked.
func (s *memoryStore) deliveries(ctx context.Context, do func(rows map[delivery.Key]memoryDelivery)) error {
	if err := s.Check(ctx); err != nil {
		return err
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	do(s.d.deliveries)
	return nil
}

func (s *memoryStore) Receivers(ctx context.Context, after string, limit int) ([]jobstore.Receiver, error) {
	var receivers []jobstore.Receiver
	err := s.deliveries(ctx, func(rows map[delivery.Key]memoryDelivery) {
		due := map[string]bool{}
		for _, row := range rows {
			if row.State == delivery.Pending && row.Receiver > after {
				due[row.Receiver] = due[row.Receiver] || !row.DueAt.After(time.Now()) || s.d.bugs[receiverAlwaysDue]
			}
		}
		for _, name := range slices.Sorted(maps.Keys(due)) {
			if len(receivers) < limit {
				receivers = append(receivers, jobstore.Receiver{Name: name, Due: due[name]})
			}
		}
	})
	return receivers, err
}

// waits reports whether an earlier delivery of the job is pending. The caller holds d.mu.
func (d *memoryDatabase) waits(key delivery.Key) bool {
	for other, row := range d.deliveries {
		if other.Job == key.Job && other.Generation < key.Generation && row.State == delivery.Pending && !d.bugs[leaseInAnyOrder] {
			return true
		}
	}
	return false
}

func (s *memoryStore) LeaseDeliveries(
	ctx context.Context, receiver string, limit int, duration time.Duration,
) ([]delivery.Leased, error) {
	var leased []delivery.Leased
	err := s.deliveries(ctx, func(rows map[delivery.Key]memoryDelivery) {
		ordered := slices.SortedFunc(maps.Values(rows), func(a, b memoryDelivery) int {
			return cmp.Or(a.DueAt.Compare(b.DueAt), strings.Compare(a.ID(), b.ID()))
		})
		for _, row := range ordered {
			early := row.DueAt.After(time.Now()) && !s.d.bugs[leaseEarly]
			if s.d.waits(row.Key) || row.State != delivery.Pending || row.Receiver != receiver && !s.d.bugs[leaseAnyReceiver] || early || len(leased) == limit {
				continue
			}
			if !s.d.bugs[leaseForever] {
				row.DueAt = time.Now().Add(duration)
			} else {
				row.DueAt = time.Now().Add(1000 * time.Hour)
			}
			row.lease++
			rows[row.Key] = row
			leased = append(leased, delivery.Leased{
				Delivery: row.Delivery, Lease: row.lease, Failures: row.failures, Age: time.Since(row.EnqueuedAt),
			})
		}
	})
	return leased, err
}

func (s *memoryStore) SettleDelivery(ctx context.Context, settlement delivery.Settlement) error {
	return s.deliveries(ctx, func(rows map[delivery.Key]memoryDelivery) {
		row, found := rows[settlement.Key]
		current := row.lease == settlement.Lease && row.State == delivery.Pending || s.d.bugs[settleOldLease]
		if !found || !current {
			return
		}
		row.State, row.failures, row.Attempts = settlement.State, settlement.Failures, settlement.Attempts
		row.DueAt = time.Now().Add(settlement.Delay)
		if s.d.bugs[loseAttempts] {
			row.Attempts = nil
		}
		rows[row.Key] = row
		if row.jobDeleted && row.State != delivery.Pending && !s.d.bugs[forgetOnlySettled] {
			delete(rows, row.Key)
		}
	})
}

func (s *memoryStore) ForgetDeliveries(ctx context.Context, id uuid.UUID) error {
	return s.deliveries(ctx, func(rows map[delivery.Key]memoryDelivery) {
		for key, row := range rows {
			if row.Job == id && (row.State != delivery.Pending || s.d.bugs[forgetPending]) {
				delete(rows, key)
			} else if row.Job == id {
				row.jobDeleted = true
				rows[key] = row
			}
		}
	})
}

func (s *memoryStore) Deliveries(ctx context.Context, id uuid.UUID) ([]delivery.Delivery, error) {
	var found []delivery.Delivery
	err := s.deliveries(ctx, func(rows map[delivery.Key]memoryDelivery) {
		for _, row := range rows {
			if row.Job == id {
				row.Payload = nil
				found = append(found, row.Delivery)
			}
		}
	})
	slices.SortFunc(found, func(a, b delivery.Delivery) int { return cmp.Compare(a.Generation, b.Generation) })
	return found, err
}

func (s *memoryStore) ResendDeliveries(ctx context.Context, id uuid.UUID) (int, error) {
	resent := 0
	err := s.deliveries(ctx, func(rows map[delivery.Key]memoryDelivery) {
		for key, row := range rows {
			if row.Job != id {
				continue
			}
			row.State, row.failures, row.DueAt = delivery.Pending, 0, time.Now()
			if !s.d.bugs[resendKeepsLease] {
				row.lease++
			}
			rows[key] = row
			resent++
		}
	})
	return resent, err
}

func (s *memoryStore) DeleteDeliveries(ctx context.Context, age time.Duration, limit int) (int, error) {
	deleted := 0
	err := s.deliveries(ctx, func(rows map[delivery.Key]memoryDelivery) {
		for key, row := range rows {
			if old := row.EnqueuedAt.Before(time.Now().Add(-age)) || s.d.bugs[deleteNew]; old && deleted < limit {
				delete(rows, key)
				deleted++
			}
		}
	})
	return deleted, err
}

func (s *memoryStore) DeliveryBacklog(ctx context.Context) (delivery.Backlog, error) {
	var backlog delivery.Backlog
	err := s.deliveries(ctx, func(rows map[delivery.Key]memoryDelivery) {
		for _, row := range rows {
			if row.State == delivery.Pending || s.d.bugs[countSettled] {
				backlog.Pending++
				backlog.Overdue = max(backlog.Overdue, time.Since(row.DueAt))
			}
		}
	})
	return backlog, err
}
