package delivery_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/job"
)

var (
	id   = uuid.MustParse("019a0000-0000-7000-8000-000000000001")
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func ended(status job.Status) job.Job {
	return job.Job{ID: id, Record: job.Record{
		Submission: &job.Submission{
			RequestedAt: noon, Filename: "a.docx", TargetFormat: "pdf", Tag: "mine",
			Callback: &job.Callback{URL: "https://Example.COM.:8443/a?b", Events: []string{"job.succeeded", "job.failed"}},
		},
		Status: status, FinishedAt: noon.Add(time.Minute), Report: &job.Report{Engine: "LibreOffice"},
	}}
}

func TestOf(t *testing.T) {
	t.Parallel()
	d, wanted := delivery.Of(ended(job.Failed))
	require.True(t, wanted)
	require.Equal(t, "example.com", d.Receiver)
	require.Equal(t, "https://Example.COM.:8443/a?b", d.URL)
	require.Equal(t, "job.failed", d.Event)
	require.Equal(t, "msg_019a0000000070008000000000000001_0", d.ID())
	var body map[string]any
	require.NoError(t, json.Unmarshal(d.Payload, &body))
	require.Equal(t, "job.failed", body["type"])
	require.Equal(t, "2026-03-01T12:01:00Z", body["timestamp"])
	require.Subset(t, body["data"], map[string]any{"id": id.String(), "status": "failed", "tag": "mine"})
	require.NotContains(t, string(d.Payload), "example.com", "the receiver knows it")

	for _, status := range []job.Status{job.Queued, job.Running, job.Canceled} {
		_, wanted := delivery.Of(ended(status))
		require.False(t, wanted, status)
	}
	placeholder, withdrawn, silent := ended(job.Failed), ended(job.Failed), ended(job.Failed)
	placeholder.Submission, withdrawn.Withdrawn, silent.Submission.Callback = nil, true, nil
	for _, j := range []job.Job{placeholder, withdrawn, silent} {
		_, wanted := delivery.Of(j)
		require.False(t, wanted)
	}
	invalid := ended(job.Failed)
	invalid.Submission.Callback.URL = ":"
	d, wanted = delivery.Of(invalid)
	require.True(t, wanted)
	require.NotEmpty(t, d.Receiver)
}

// TestReceivers requires that nobody is several receivers.
func TestReceivers(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"example.com": "example.com", "A.b.Example.com.": "example.com", "www.example.co.uk": "example.co.uk", "co.uk": "co.uk",
		"tenant.github.io": "tenant.github.io", "x.tenant.github.io": "tenant.github.io", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"hooks": "hooks", "a.hooks.internal": "a.hooks.internal", "b.svc.cluster.local": "b.svc.cluster.local",
		"192.0.2.7": "192.0.2.7", "[2001:db8:1:2:3::4]": "2001:db8:1:2::/64", "[::ffff:192.0.2.7]": "192.0.2.7", "[fe80::1%25eth0]": "fe80::/64",
	} {
		j := ended(job.Failed)
		j.Submission.Callback.URL = "https://" + host + ":8443/hook"
		d, wanted := delivery.Of(j)
		require.True(t, wanted)
		require.Equal(t, want, d.Receiver, host)
		require.Contains(t, strings.ToLower(host), strings.TrimSuffix(d.Host(), "%eth0"))
	}
}

// TestLargePayload requires that the parts that a document can make large are left out.
func TestLargePayload(t *testing.T) {
	t.Parallel()
	fonts, warnings, number := ended(job.Succeeded), ended(job.Succeeded), ended(job.Succeeded)
	for range 2000 {
		fonts.Report.Fonts = append(fonts.Report.Fonts, job.Font{Name: strings.Repeat("<", 40)})
		warnings.Warnings = append(warnings.Warnings, job.Warning{Code: "c", Detail: strings.Repeat("d", 100)})
	}
	number.Report.Seconds.Load = new(math.NaN()) // cannot be encoded
	for _, j := range []job.Job{fonts, warnings, number} {
		d, _ := delivery.Of(j)
		require.LessOrEqual(t, len(d.Payload), delivery.MaxPayload)
		require.Contains(t, string(d.Payload), `"tag":"mine"`)
		require.NotContains(t, string(d.Payload), `"report"`)
	}
	huge := ended(job.Succeeded)
	huge.Submission.Options = map[string]any{"watermark": strings.Repeat("x", delivery.MaxPayload)}
	d, _ := delivery.Of(huge)
	require.Contains(t, string(d.Payload), `"status":"succeeded"`)
	require.Less(t, len(d.Payload), 1000)
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	leased := delivery.Leased{Delivery: delivery.Delivery{Key: delivery.Key{Job: id}}, Lease: 7}
	failure := delivery.Attempt{StartedAt: noon, StatusCode: 500, Fault: delivery.Rejected}
	var total time.Duration
	attempts := 0
	for {
		attempts++
		s := leased.After(failure)
		require.EqualValues(t, 7, s.Lease)
		if s.State == delivery.Abandoned {
			break
		}
		require.Positive(t, s.Delay)
		total += s.Delay
		leased.Failures, leased.Attempts = s.Failures, s.Attempts
	}
	require.Equal(t, 12, attempts)
	require.Len(t, leased.Attempts, 11)
	require.InDelta(t, 76, total.Hours(), 16, "about three days")

	for range 100 {
		require.InDelta(t, 5, (delivery.Leased{}).After(failure).Delay.Seconds(), 1)
	}
	failure.RetryAfter = 10 * time.Minute
	require.Equal(t, 10*time.Minute, (delivery.Leased{}).After(failure).Delay)
	failure.RetryAfter = 1000 * time.Hour
	require.Equal(t, time.Hour, (delivery.Leased{}).After(failure).Delay)
	require.Equal(t, delivery.Abandoned, (delivery.Leased{Age: 6 * 24 * time.Hour}).After(failure).State)
	require.Equal(t, delivery.Abandoned, (delivery.Leased{}).After(delivery.Attempt{Fault: delivery.Gone}).State)
	require.Equal(t, delivery.Delivered, (delivery.Leased{Age: 6 * 24 * time.Hour, Failures: 11}).After(delivery.Attempt{}).State)

	many := delivery.Leased{Delivery: delivery.Delivery{Attempts: make([]delivery.Attempt, delivery.MaxAttempts)}}
	kept := many.After(failure).Attempts
	require.Len(t, kept, delivery.MaxAttempts)
	require.Equal(t, failure, kept[delivery.MaxAttempts-1])
	require.Equal(t, delivery.Pending, leased.Released().State)
	require.Equal(t, leased.Failures, leased.Released().Failures)
}
