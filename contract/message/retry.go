package message

import (
	"slices"
	"time"
)

// retryDelays is the retry schedule: how long a command waits after its first, second and third failed attempt.
var retryDelays = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute}

// RetryDelays returns the retry schedule, shortest delay first. A job is attempted once more than there are delays.
func RetryDelays() []time.Duration { return slices.Clone(retryDelays) }

// DelayAfter returns how long to wait after the given attempt, counted from 1, has failed for a transient reason. It
// returns false if that was the last attempt.
func DelayAfter(attempt int) (time.Duration, bool) {
	if attempt < 1 || attempt > len(retryDelays) {
		return 0, false
	}
	return retryDelays[attempt-1], true
}
