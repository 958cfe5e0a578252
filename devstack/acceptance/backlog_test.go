package acceptance_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/testbench"
)

// TestPollsDuringCatchUp: jobs that were accepted while the status service was down are polled from its start on. Until
// their states are known, the answer is 503, never 404.
func TestPollsDuringCatchUp(t *testing.T) {
	t.Parallel()
	b := setupServices(t, testbench.New(t))
	const jobs = 20
	require.NoError(t, b.system.Status.Stop(b.ctx))
	var accepted []client.Job
	for range jobs {
		accepted = append(accepted, b.submit(t, "synth-letter.txt"))
	}
	started := make(chan error, 1)
	go func() { started <- b.system.Status.Start(b.ctx) }()
	for waiting := accepted; len(waiting) > 0; {
		var unknown []client.Job
		for _, job := range waiting {
			if _, err := b.client.Job(b.ctx, job.ID); err != nil {
				var problem *client.Problem
				require.ErrorAs(t, err, &problem)
				require.Equal(t, client.CodeStatusUnavailable, problem.Code)
				require.Positive(t, problem.RetryAfter)
				unknown = append(unknown, job)
			}
		}
		waiting = unknown
		if len(waiting) == jobs {
			time.Sleep(20 * time.Millisecond) // the service is starting
		}
	}
	require.NoError(t, <-started)
	for _, job := range accepted {
		b.succeed(t, job)
	}
}
