package conversion

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
)

// deadline returns when the job is too old for another attempt; the zero time for never.
func (a *attempt) deadline() time.Time {
	requested, expires := requestedAt(a.command), a.command.GetExpiresAt().AsTime()
	switch {
	case requested.IsZero():
		return time.Time{}
	case a.command.GetExpiresAt() == nil:
		expires = requested.Add(retryFor)
	}
	if resumed := a.ResumedAt.Add(expires.Sub(requested)); resumed.After(expires) {
		return resumed
	}
	return expires
}

// expired reports whether the job is too old for another attempt.
func (a *attempt) expired() bool {
	deadline := a.deadline()
	return !deadline.IsZero() && time.Now().After(deadline)
}

// expire fails the job because it is too old.
func (a *attempt) expire(ctx context.Context, cause error) error {
	age := a.deadline().Sub(requestedAt(a.command)).Round(time.Second)
	return a.failInTime(ctx, problem.New(problem.AttemptsExhausted, "The job was not finished within %s.", age).Because(cause))
}

// failInTime fails the job for a reason that depends on the clock of this machine. If the clock is wrong, a converter would end
// every job in the queue. So the store must accept a request first: S3 stores reject those whose time differs from theirs by
// more than 15 minutes.
func (a *attempt) failInTime(ctx context.Context, failure *problem.Error) error {
	checking, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := a.Sources.Check(checking); err != nil {
		a.left = true // a converter with a wrong clock would take every command from the others
		a.log.Warn("postponing the end of an expired job: cannot compare the clock with that of the store", a.facts(zap.Error(err))...)
		return a.events.returned(ctx, a.command, message.DelayAfter(1))
	}
	return a.fail(ctx, failure)
}
