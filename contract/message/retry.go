package message

import (
	"slices"
	"time"
)

// retryDelays is the retry schedule: how long a command waits after its first, second and third failed attempt.
var retryDelays = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute}

// RetryDelays returns the retry schedule, shortest delay first.
func RetryDelays() []time.Duration { return slices.Clone(retryDelays) }

// DelayAfter returns how long a command waits after a number of failed attempts, at least 1. At the end of the schedule
// the last delay repeats.
func DelayAfter(failures int) time.Duration { return retryDelays[min(failures, len(retryDelays))-1] }

// MinDeadline returns the sum of the retry schedule: a job with a shorter deadline could not have every attempt of it.
func MinDeadline() time.Duration {
	var sum time.Duration
	for _, delay := range retryDelays {
		sum += delay
	}
	return sum
}
