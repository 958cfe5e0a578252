package jobstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/delivery"
)

// Deliveries are the webhooks that a [Store] keeps. Apply and Expire enqueue a delivery in the transaction in which a job
// ends; it is never enqueued twice for the same key. Deliveries of a job are attempted in the order of their generations: none
// is leased while an earlier one is pending.
type Deliveries interface {
	// Enqueued returns a channel that receives a value after this store has committed new deliveries. Those of other replicas
	// are not reported.
	Enqueued() <-chan struct{}
	// Receivers returns at most limit receivers that have pending deliveries, in ascending order, beginning after the given one;
	// "" precedes all. Its cost does not depend on how many deliveries a receiver has.
	Receivers(ctx context.Context, after string, limit int) ([]Receiver, error)
	// LeaseDeliveries leases at most limit of the due deliveries to a receiver, first those that have been due for longest.
	// Until the lease ends, nobody else leases them.
	LeaseDeliveries(ctx context.Context, receiver string, limit int, duration time.Duration) ([]delivery.Leased, error)
	// SettleDelivery ends a lease. It has no effect if the delivery was leased again or sent again since.
	SettleDelivery(ctx context.Context, settlement delivery.Settlement) error
	// Deliveries returns the latest deliveries of a job without their payloads, in the order of their generations, at most
	// delivery.MaxListed. There may be some although the job does not exist any more.
	Deliveries(ctx context.Context, id uuid.UUID) ([]delivery.Delivery, error)
	// ResendDeliveries makes all deliveries of a job pending and due, and returns their number.
	ResendDeliveries(ctx context.Context, id uuid.UUID) (int, error)
	// ForgetDeliveries deletes the deliveries of a job that are settled, and lets the others be deleted as soon as they are. It is for
	// a job that its client has deleted, so there will be no new ones.
	ForgetDeliveries(ctx context.Context, id uuid.UUID) error
	// DeleteDeliveries deletes at most limit of the deliveries that were enqueued longer than age ago, whatever their state, and
	// returns their number.
	DeleteDeliveries(ctx context.Context, age time.Duration, limit int) (int, error)
	// DeliveryBacklog returns how many deliveries wait.
	DeliveryBacklog(ctx context.Context) (delivery.Backlog, error)
}

// Receiver is a receiver with pending deliveries.
type Receiver struct {
	Name string
	// Due is set if one of them may be due.
	Due bool
}

// Bell is the channel of Enqueued. The zero value cannot be used; it is for implementations.
type Bell chan struct{}

// NewBell returns a bell.
func NewBell() Bell { return make(Bell, 1) }

// Ring reports new deliveries. It does not block.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default: // it has been rung already
	}
}
