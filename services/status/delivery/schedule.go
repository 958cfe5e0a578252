package delivery

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Fault is the reason why an attempt failed. Its values are stored, and shown to clients.
type Fault string

// The faults. They reveal no more than a client needs: neither the address of a name, nor the response of a receiver that
// nobody should reach.
const (
	// Unreachable means that the name of the receiver has no address to which webhooks may be sent.
	Unreachable Fault = "address-not-allowed"
	// NotConnected means that no connection could be made, or that it broke.
	NotConnected Fault = "connection-failed"
	// Untrusted means that the certificate of the receiver is not valid, or that TLS failed otherwise.
	Untrusted Fault = "tls-failed"
	// TimedOut means that the receiver did not answer in time.
	TimedOut Fault = "timeout"
	// Redirected means that the receiver answered with a redirect, which is not followed.
	Redirected Fault = "redirect"
	// Rejected means that the receiver answered with a status other than 2xx, 3xx and 410.
	Rejected Fault = "status"
	// Gone means that the receiver answered 410: it wants no more webhooks.
	Gone Fault = "gone"
	// Malformed means that the URL cannot be used.
	Malformed Fault = "url-invalid"
)

// Attempt is one attempt to deliver.
type Attempt struct {
	StartedAt time.Time
	Duration  time.Duration
	// StatusCode is the HTTP status of the receiver's response; 0 if there was none.
	StatusCode int
	// Fault is empty if the receiver has accepted the report.
	Fault Fault
	// RetryAfter is how long the receiver asks to wait; 0 if it does not. It is not stored.
	RetryAfter time.Duration
}

// Leased is a delivery that may be attempted once.
type Leased struct {
	Delivery

	// Lease identifies the lease.
	Lease int64
	// Failures is how many attempts have failed since it was enqueued.
	Failures int
	// Age is the time since it was enqueued.
	Age time.Duration
}

// Settlement is the end of a lease.
type Settlement struct {
	Key

	// Lease must be the latest lease of the delivery; otherwise the settlement has no effect.
	Lease    int64
	State    State
	Failures int
	// Delay is the time until the next attempt, if the delivery is pending; otherwise 0.
	Delay    time.Duration
	Attempts []Attempt
}

// delays are the times between attempts: about three days together. The first ones are for a receiver that restarts.
var delays = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	// jitter is the fraction by which a delay is made longer or shorter, so that the deliveries after an outage are spread.
	jitter = 0.2
	// maxAge is the age after which a failed attempt is the last one. It is reached only if the deliveries to a receiver
	// wait for each other.
	maxAge = 5 * 24 * time.Hour
	// maxRetryAfter is the longest time that a receiver may ask to wait.
	maxRetryAfter = time.Hour
)

// After returns how an attempt settles the delivery.
func (l Leased) After(attempt Attempt) Settlement {
	attempts := append(slices.Clone(l.Attempts), attempt)
	if excess := len(attempts) - MaxAttempts; excess > 0 {
		attempts = attempts[excess:]
	}
	s := Settlement{Key: l.Key, Lease: l.Lease, State: Pending, Failures: l.Failures, Attempts: attempts}
	if attempt.Fault == "" {
		s.State = Delivered
		return s
	}
	s.Failures++
	if attempt.Fault == Gone || s.Failures > len(delays) || l.Age > maxAge {
		s.State = Abandoned
		return s
	}
	delay := delays[s.Failures-1]
	delay += time.Duration(float64(delay) * jitter * (2*rand.Float64() - 1)) //nolint:gosec // it need not be unpredictable
	s.Delay = max(delay, min(attempt.RetryAfter, maxRetryAfter))
	return s
}

// Released returns the settlement of a lease without an attempt, because the process stops.
func (l Leased) Released() Settlement {
	return Settlement{Key: l.Key, Lease: l.Lease, State: Pending, Failures: l.Failures, Attempts: l.Attempts}
}

// Backlog is how many deliveries wait.
type Backlog struct {
	// Pending is the number of pending deliveries, up to MaxCounted.
	Pending int
	// Overdue is how long the delivery that waits longest has been due; 0 if none is due.
	Overdue time.Duration
}

// MaxCounted bounds the cost of counting.
const MaxCounted = 100_000
