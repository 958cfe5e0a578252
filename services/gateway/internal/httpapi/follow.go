package httpapi

import (
	"context"
	"time"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

// follow gives the job as status knows it: as soon as it has recorded it, or, for a client that prefers to wait, when the job
// has ended or the wait is over. The job is accepted whatever comes of this, so a status that does not answer only means
// that the client reads what was published.
func (a *api) follow(ctx context.Context, accepted jobapi.Job, wait time.Duration) jobapi.Job {
	ctx, stop := untilDrain(ctx)
	defer stop()
	deadline := time.Now().Add(wait)
	state, err := a.parts.Status.Recorded(ctx, accepted.ID, max(wait, a.settings.RecordWait))
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
			break // the wait is over, or status will not hold us any longer
		}
		state = next
	}
	return state.Job
}

// changed waits for the next version of the job. Status is asked for whole seconds, and what is too much is cut off here.
func (a *api) changed(ctx context.Context, state statusclient.State, left time.Duration) (statusclient.State, error) {
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return a.parts.Status.Changed(ctx, state.Job.ID, state.ETag, left)
}

// untilDrain ends the context also when the server begins to drain: nobody is kept waiting then.
func untilDrain(ctx context.Context) (context.Context, context.CancelFunc) {
	drain := httpserver.Draining(ctx)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-drain:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
