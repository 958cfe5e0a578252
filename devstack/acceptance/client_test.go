package acceptance_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/testbench"
)

// TestClientSurvivesANetworkThatFails cuts the connections of the Go client during a stream of events and a download.
func TestClientSurvivesANetworkThatFails(t *testing.T) {
	t.Parallel()
	forBoth(t, testClientSurvivesANetworkThatFails)
}

func testClientSurvivesANetworkThatFails(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	link := testbench.Proxy(t, b.system.URL())
	remote := client.New(link.Through(b.system.URL()))

	job := b.submit(t, "odftoolkit__Presentation7.odp") // takes seconds
	var states []client.Job
	for state, err := range remote.Events(b.ctx, job.ID) {
		require.NoError(t, err)
		if len(states) == 0 || state.Status != states[len(states)-1].Status {
			link.Cut()
			link.Restore()
		}
		states = append(states, state)
	}
	last := states[len(states)-1]
	require.Equal(t, client.Succeeded, last.Status)
	require.Equal(t, 100, last.Result.Pages)

	cut := cutting{link: link}
	require.NoError(t, remote.Download(b.ctx, last, &cut))
	require.Equal(t, last.Result.Size, int64(cut.received.Len()))
}

// cutting cuts the connection after the first bytes.
type cutting struct {
	link     *testbench.Link
	received bytes.Buffer
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.received.Len() == 0 {
		c.link.Cut()
		c.link.Restore()
	}
	return c.received.Write(p)
}

// TestClientSendsAnyName checks names and streams of unknown size, and that all invalid options are reported.
func TestClientSendsAnyName(t *testing.T) {
	t.Parallel()
	b := setup(t, embedded)
	for _, name := range []string{`a "quoted" name.txt`, "Grüße, 你好.txt"} {
		job, err := b.client.Submit(b.ctx, name, io.MultiReader(strings.NewReader("Dear reader,")), client.UnknownSize)
		require.NoError(t, err)
		require.Equal(t, name, job.Source.Filename)
		b.succeed(t, job)
	}
	_, err := b.client.SubmitFile(b.ctx, document("synth-letter.txt"), client.WithOptions(map[string]string{"pages": "zero", "what": "ever"}))
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeOptionInvalid, problem.Code)
	require.Len(t, problem.Fields, 2)
	require.NotEmpty(t, problem.TraceID)

	formats, err := b.client.Formats(b.ctx)
	require.NoError(t, err)
	require.NotEmpty(t, formats.Formats)
	require.NotEmpty(t, formats.Options)
	require.Positive(t, formats.MaxUploadSize)
}

// TestClientGetsARefusalDuringTheUpload sends more than the network holds: the gateway refuses before it has read it.
func TestClientGetsARefusalDuringTheUpload(t *testing.T) {
	t.Parallel()
	b := setup(t, embedded)
	zeros := io.LimitReader(zeroReader{}, 64<<20)
	_, err := b.client.Submit(b.ctx, "deck.pptx", zeros, 64<<20)
	require.True(t, client.IsCode(err, client.CodeFileUnrecognized) || client.IsCode(err, client.CodeFileTypeContradicted), "%v", err)
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestClientManagesJobs calls the methods of the Go client that change and list jobs.
func TestClientManagesJobs(t *testing.T) {
	t.Parallel()
	forBoth(t, testClientManagesJobs)
}

func testClientManagesJobs(t *testing.T, on edition) {
	t.Helper()
	b := withWebhooks(t, on, "DOCMILL_ALLOW_LISTING=true")
	r := newReceiver(t)
	job, err := b.submitWith("odftoolkit__Presentation7.odp", map[string]string{ // takes seconds
		"callback_url": r.url, "callback_events": "job.succeeded,job.canceled", "tag": "mine", "expires_in": "3600",
	})
	require.NoError(t, err)
	b.until(t, job, client.Running)
	_, err = b.client.Retry(b.ctx, job.ID)
	require.True(t, client.IsCode(err, client.CodeJobNotFinished), "%v", err)
	canceled, err := b.client.Cancel(b.ctx, job.ID)
	require.NoError(t, err)
	require.Equal(t, client.Canceled, canceled.Status)
	require.WithinDuration(t, canceled.FinishedAt.Add(time.Hour), *canceled.ExpiresAt, time.Millisecond)
	require.Equal(t, "job.canceled", r.next(t, b).body.Type)

	retried, err := b.client.Retry(b.ctx, job.ID)
	require.NoError(t, err)
	require.Equal(t, 1, retried.Generation)
	b.succeed(t, job)
	require.Equal(t, "job.succeeded", r.next(t, b).body.Type)
	refused, err := b.client.Cancel(b.ctx, job.ID)
	require.True(t, client.IsCode(err, client.CodeJobNotCancelable), "%v", err)
	require.Equal(t, client.Succeeded, refused.Status)
	deliveries := b.listDeliveries(t, job)
	require.Len(t, deliveries, 2)
	require.Equal(t, "job.succeeded", deliveries[1].Event)

	other := b.succeed(t, b.submit(t, "synth-letter.txt"))
	requireListed(t, b, client.Filter{}, other.ID, job.ID)
	requireListed(t, b, client.Filter{Tag: "mine", Statuses: []client.Status{client.Succeeded, client.Failed}}, job.ID)
	requireListed(t, b, client.Filter{CreatedAfter: other.CreatedAt}, other.ID)
	stats, err := b.client.Stats(b.ctx)
	require.NoError(t, err)
	require.NotNil(t, stats.Jobs)

	for range 2 {
		require.NoError(t, b.client.Delete(b.ctx, job.ID))
	}
	_, err = b.client.Deliveries(b.ctx, job.ID)
	require.True(t, client.IsCode(err, client.CodeJobDeleted), "%v", err)
	requireListed(t, b, client.Filter{}, other.ID)
}

// requireListed requires that the filter selects these jobs.
func requireListed(t *testing.T, b *testBundle, filter client.Filter, want ...string) {
	t.Helper()
	var ids []string
	for job, err := range b.client.List(b.ctx, filter) {
		require.NoError(t, err)
		ids = append(ids, job.ID)
	}
	require.Equal(t, want, ids)
}
