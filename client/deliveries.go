package client

import (
	"context"
	"net/http"
	"time"
)

// DeliveryStatus is the state of a webhook.
type DeliveryStatus string

// A webhook is pending until the receiver has accepted it (delivered), or no more attempts are made (abandoned).
const (
	DeliveryPending   DeliveryStatus = "pending"
	DeliveryDelivered DeliveryStatus = "delivered"
	DeliveryAbandoned DeliveryStatus = "abandoned"
)

// Delivery is a webhook about a job. Times are in UTC.
type Delivery struct {
	// ID is the webhook-id header, which is the same in all attempts.
	ID string `json:"id"`
	// Event is the type of the event, such as job.succeeded.
	Event  string         `json:"event"`
	Status DeliveryStatus `json:"status"`
	// Receiver is the host of the callback_url.
	Receiver string `json:"receiver"`
	// CreatedAt is when the job ended, or when an operator had the webhook sent again.
	CreatedAt time.Time `json:"created_at"`
	// NextAttemptAt is the earliest time of the next attempt; nil unless the webhook is pending.
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	// Attempts are the latest attempts, the oldest first, at most 20.
	Attempts []DeliveryAttempt `json:"attempts"`
}

// DeliveryAttempt is an attempt to deliver a webhook.
type DeliveryAttempt struct {
	StartedAt time.Time `json:"started_at"`
	// Seconds is how long the attempt took.
	Seconds float64 `json:"seconds"`
	// StatusCode is the HTTP status of the receiver's response; 0 if there was none.
	StatusCode int `json:"status_code"`
	// Error is the reason why the attempt failed, such as timeout or status; empty if the receiver has accepted the webhook.
	Error string `json:"error"`
}

// Deliveries returns the webhooks about a job, the oldest first: one for each end that was reported to its callback_url, at most
// the last 100. There are none before the job has ended. If the job was deleted or has expired, the error is a [*Problem] with
// [CodeJobDeleted] or [CodeJobExpired].
func (c *Client) Deliveries(ctx context.Context, id string) ([]Delivery, error) {
	var listed struct {
		Deliveries []Delivery `json:"deliveries"`
	}
	_, err := c.get(ctx, jobPath(id)+"/deliveries", http.Header{}, 0, &listed)
	return listed.Deliveries, err
}
