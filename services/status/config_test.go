package status_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status"
)

func TestDeadlineIsNotLessThanTheRetrySchedule(t *testing.T) {
	t.Parallel()
	config := status.Config{BatchSize: 1, MaxWaiters: 1, JobDeadline: 6*time.Minute + 10*time.Second, Retention: time.Minute, OrphanSweep: time.Second}
	require.NoError(t, config.Validate())
	config.JobDeadline -= time.Second
	require.ErrorContains(t, config.Validate(), "setting job-deadline: 6m9s is less than 6m10s")
}

func TestRetentionIsChecked(t *testing.T) {
	t.Parallel()
	good := status.Config{BatchSize: 1, MaxWaiters: 1, JobDeadline: time.Hour, Retention: time.Minute, OrphanSweep: time.Second}
	require.NoError(t, good.Validate())
	for setting, change := range map[string]func(*status.Config){
		"retention":        func(c *status.Config) { c.Retention = 0 },
		"source-retention": func(c *status.Config) { c.SourceRetention = -1 },
		"orphan-sweep":     func(c *status.Config) { c.OrphanSweep = 0 },
	} {
		bad := good
		change(&bad)
		require.ErrorContains(t, bad.Validate(), "setting "+setting+":")
	}
}
