package jobapi

import "time"

// Deliveries is the response to GET /v1/jobs/{id}/deliveries. Times are in UTC.
type Deliveries struct {
	// Deliveries are the webhooks about the job, the oldest first: one for each end that was reported, at most the last 100.
	Deliveries []Delivery `json:"deliveries"`
}

// DeliveryStatus is the state of a webhook.
type DeliveryStatus string

// A webhook is pending until the receiver has accepted it (delivered), or no more attempts are made (abandoned).
const (
	DeliveryPending   DeliveryStatus = "pending"
	DeliveryDelivered DeliveryStatus = "delivered"
	DeliveryAbandoned DeliveryStatus = "abandoned"
)

// Delivery is a webhook about a job.
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
	// NextAttemptAt is the earliest time of the next attempt. It is present while the webhook is pending.
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	// Attempts are the latest attempts, the oldest first, at most 20.
	Attempts []DeliveryAttempt `json:"attempts"`
}

// DeliveryAttempt is an attempt to deliver a webhook.
type DeliveryAttempt struct {
	StartedAt time.Time `json:"started_at"`
	// Seconds is how long the attempt took.
	Seconds float64 `json:"seconds"`
	// StatusCode is the HTTP status of the receiver's response. It is omitted if there was none.
	StatusCode int `json:"status_code,omitempty"`
	// Error is the reason why the attempt failed, such as timeout or status. It is omitted if the receiver has accepted the webhook.
	Error string `json:"error,omitempty"`
}

// DeliveriesPath returns the path of the webhooks about the job with this id.
func DeliveriesPath(id string) string { return Path(id) + "/deliveries" }
