package topology

import "time"

// Step is one rung of the ladder: a queue that holds a command for a while and then hands it back to the work queue.
type Step struct {
	// Queue is published to by its name, through the default exchange.
	Queue string
	// Delay is how long a message stays there. There is one queue for each delay and never a delay for each message,
	// because only the message at a queue's head expires.
	Delay time.Duration
}

// Ladder lists the steps from the shortest delay to the longest: the first failure of an attempt waits on the first.
// After the last step there is no further attempt: a job is tried once more than the ladder has steps.
func Ladder() []Step {
	return []Step{
		{Queue: "docmill.convert.retry.10s.v1", Delay: 10 * time.Second},
		{Queue: "docmill.convert.retry.1m.v1", Delay: time.Minute},
		{Queue: "docmill.convert.retry.5m.v1", Delay: 5 * time.Minute},
	}
}

// After gives the step to wait on after the given attempt, counted from 1, has failed for a reason that may pass. It
// says false when that was the last attempt.
func After(attempt int) (Step, bool) {
	ladder := Ladder()
	if attempt < 1 || attempt > len(ladder) {
		return Step{}, false
	}
	return ladder[attempt-1], true
}
