package httpapi

import (
	"context"
	"time"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

// follow returns the job as the status service has recorded it: as soon as it is recorded or, for a client that prefers
// to wait, when the job has ended or the wait is over. The job has been accepted in any case. If the status service
// does not answer, the client gets what was published.
func (a *api) follow(ctx context.Context, accepted jobapi.Job, wait time.Duration) jobapi.Job {
	ctx, stop := host.Context(ctx, httpserver.Draining(ctx)) // no client is kept waiting while the server drains
	defer stop()
	deadline := time.Now().Add(wait)
	state, err := a.deps.Status.Recorded(ctx, accepted.ID, max(wait, a.settings.RecordWait))
	if err != nil {
		return accepted
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
	return state.Job
}

// changed waits for the next version of the job. The status service waits for a whole number of seconds; the excess is
// cut off here.
func (a *api) changed(ctx context.Context, state statusclient.State, left time.Duration) (statusclient.State, error) {
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return a.deps.Status.Changed(ctx, state.Job.ID, state.ETag, left)
}
