package fold_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// TestRefusedBatch requires that the events of a job stay together if an event of another one is refused.
func TestRefusedBatch(t *testing.T) {
	t.Parallel()
	bad, good := uuid.New(), uuid.New()
	submitted := func(id uuid.UUID) job.Event { return job.Submitted{ID: job.ID(id)} }
	ended := func(id uuid.UUID) job.Event { return job.Ended{ID: job.ID(id)} }
	var batches [][]job.Event
	outcomes, err := fold.Apply(t.Context(), []job.Event{submitted(bad), ended(bad), submitted(good), ended(good)},
		func(_ context.Context, events []job.Event) ([]jobstore.Outcome, error) {
			batches = append(batches, events)
			for _, event := range events {
				if _, end := event.(job.Ended); end && event.Job() == bad {
					return nil, jobstore.ErrRefused
				}
			}
			return make([]jobstore.Outcome, len(events)), nil
		})
	require.NoError(t, err)
	require.Equal(t, [][]job.Event{
		{submitted(bad), ended(bad), submitted(good), ended(good)},
		{submitted(bad), ended(bad)},
		{submitted(bad)},
		{ended(bad)},
		{submitted(good), ended(good)},
	}, batches)
	require.Len(t, outcomes, 4)
	require.ErrorIs(t, outcomes[1].Refused, jobstore.ErrRefused)
	for _, i := range []int{0, 2, 3} {
		require.NoError(t, outcomes[i].Refused)
	}
}
