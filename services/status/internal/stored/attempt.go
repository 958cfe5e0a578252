package stored

import (
	"time"

	"github.com/docmill/docmill/services/status/delivery"
)

// Attempt is the encoding of a delivery.Attempt.
type Attempt struct {
	StartedAt time.Time `json:"started_at"`
	// Microseconds is the duration.
	Microseconds int64  `json:"microseconds"`
	StatusCode   int    `json:"status_code,omitempty"`
	Fault        string `json:"fault,omitempty"`
}

// FromAttempts returns the encoding of attempts. It is never nil.
func FromAttempts(attempts []delivery.Attempt) []Attempt {
	encoded := make([]Attempt, len(attempts))
	for i, a := range attempts {
		encoded[i] = Attempt{
			StartedAt: a.StartedAt, Microseconds: a.Duration.Microseconds(), StatusCode: a.StatusCode, Fault: string(a.Fault),
		}
	}
	return encoded
}

// ToAttempts returns the attempts that were encoded; nil for none.
func ToAttempts(encoded []Attempt) []delivery.Attempt {
	var attempts []delivery.Attempt
	for _, a := range encoded {
		attempts = append(attempts, delivery.Attempt{
			StartedAt: a.StartedAt.UTC(), Duration: time.Duration(a.Microseconds) * time.Microsecond, StatusCode: a.StatusCode,
			Fault: delivery.Fault(a.Fault),
		})
	}
	return attempts
}
