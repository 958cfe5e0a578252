package httpapi

import (
	"context"
	"time"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

// follow returns the job as the status service has recorded it: as soon as it is recorded or, for a client that prefers
// to wait, when the job has ended or the wait is over. The job has been accepted in any case. If the status service
// does not answer, the client gets what was published.
func (a *api) follow(ctx context.Context, accepted jobapi.Job, wait time.Duration) jobapi.Job {
	followed, err := a.followRecorded(ctx, accepted.ID, wait, a.settings.RecordWait)
	if err != nil {
		return accepted
	}
	return followed
}

const (
	// repeatedWait is the minimum time for which a repeated submission waits until the first one is recorded, which may still
	// be in progress.
	repeatedWait = 5 * time.Second
	// repeatedRetryAfter is the Retry-After of a repeated submission if the first one is not recorded.
	repeatedRetryAfter = 5 * time.Second
)

// followRepeated returns the job of an earlier submission as the status service has recorded it, or a problem. Unlike
// follow, it does not know whether the job was accepted: its gateway may have died.
func (a *api) followRepeated(ctx context.Context, earlier jobapi.Job, wait time.Duration) (jobapi.Job, error) {
	followed, err := a.followRecorded(ctx, earlier.ID, wait, max(a.settings.RecordWait, repeatedWait))
	if problem.From(err).Code == problem.JobNotFound {
		pending := problem.New(problem.QueueUnconfirmed, "The first submission with this key is in progress, or its outcome is not known yet.")
		return jobapi.Job{}, pending.About(earlier.ID).After(repeatedRetryAfter).Because(err)
	}
	return followed, err
}

// followRecorded waits until the job is recorded, for at least the given time, and until it has ended or the wait is over. It
// returns an error if the job is not recorded in time.
func (a *api) followRecorded(ctx context.Context, id string, wait, least time.Duration) (jobapi.Job, error) {
	ctx, stop := host.Context(ctx, httpserver.Draining(ctx)) // no client is kept waiting while the server drains
	defer stop()
	deadline := time.Now().Add(wait)
	state, err := a.deps.Status.Recorded(ctx, id, max(wait, least))
	if err != nil {
		return jobapi.Job{}, err
	}
	for !state.Job.Status.Terminal() {
		left := time.Until(deadline)
		if left <= 0 {
			break
		}
		next, err := a.changed(ctx, state, left)
		if err != nil {
			break // the wait is over, or the status service does not hold the request any longer
		}
		state = next
	}
	return state.Job, nil
}

// changed waits for the next version of the job. The status service waits for a whole number of seconds; the excess is
// cut off here.
func (a *api) changed(ctx context.Context, state statusclient.State, left time.Duration) (statusclient.State, error) {
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return a.deps.Status.Changed(ctx, state.Job.ID, state.ETag, left)
}
