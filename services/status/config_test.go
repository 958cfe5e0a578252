package status_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status"
)

func TestDeadlineIsNotLessThanTheRetrySchedule(t *testing.T) {
	t.Parallel()
	config := status.Config{BatchSize: 1, MaxWaiters: 1, JobDeadline: 6*time.Minute + 10*time.Second}
	require.NoError(t, config.Validate())
	config.JobDeadline -= time.Second
	require.ErrorContains(t, config.Validate(), "setting job-deadline: 6m9s is less than 6m10s")
}
