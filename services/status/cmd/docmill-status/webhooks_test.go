package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres"
)

// TestWebhooksResend requires that the command works with the environment of the service, and makes webhooks due again.
func TestWebhooksResend(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	var c webhooksCommand
	environ := append(bench.DatabaseEnv(), "DOCMILL_JOB_DEADLINE=12h", "DOCMILL_BROKER_URL=amqp://127.0.0.1:1/")
	id := uuid.Must(uuid.NewV7())
	require.NoError(t, config.Parse("test", "", &c, config.Source{Args: []string{"resend", id.String()}, Environ: environ, Stdout: io.Discard},
		config.Defaults{"admin_address": "127.0.0.1:0", "drain_delay": "0s"}))
	store, err := postgres.Open(c.Database, zaptest.NewLogger(t))
	require.NoError(t, err)
	storetest.Run(t, store.Run)
	storetest.WaitReady(t, store)
	_, err = store.Apply(t.Context(), []job.Event{
		job.Submitted{ID: job.ID(id), Submission: job.Submission{
			RequestedAt: time.Now(), ObjectKey: "k", Filename: "a.txt", Size: 1, SHA256: make([]byte, 32), TargetFormat: "pdf",
			Callback: &job.Callback{URL: "https://example.com/", Events: []string{"job.failed"}},
		}},
		job.Ended{ID: job.ID(id), Status: job.Failed, FinishedAt: time.Now(), Failure: &job.Failure{Code: "c"}},
	})
	require.NoError(t, err)
	leased, err := store.LeaseDeliveries(t.Context(), "example.com", 1, time.Hour)
	require.NoError(t, err)
	require.Len(t, leased, 1)
	require.NoError(t, store.SettleDelivery(t.Context(), leased[0].After(delivery.Attempt{})))

	for _, test := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"resend", id.String()}, 0, "job " + id.String() + ": 1 to be sent again\n"},
		{[]string{"resend", uuid.NewString()}, 1, ""},
		{[]string{"resend", "x"}, 2, ""},
		{[]string{"resend"}, 2, ""},
		{[]string{"other", id.String()}, 2, ""},
	} {
		var out bytes.Buffer
		require.Equal(t, test.code, run(config.Source{Args: append([]string{"webhooks"}, test.args...), Environ: environ, Stdout: &out}), "%v", test.args)
		require.Equal(t, test.out, out.String())
	}
	leased, err = store.LeaseDeliveries(t.Context(), "example.com", 1, time.Hour)
	require.NoError(t, err)
	require.Len(t, leased, 1)
}
