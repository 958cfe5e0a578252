package client_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

func TestDeliveries(t *testing.T) {
	t.Parallel()
	const listed = `{"deliveries": [{"id": "msg_1_0", "event": "job.failed", "status": "delivered", "receiver": "example.com",
		"created_at": "2026-03-01T12:00:00Z", "attempts": [
			{"started_at": "2026-03-01T12:00:01Z", "seconds": 15, "error": "timeout"},
			{"started_at": "2026-03-01T12:00:20Z", "seconds": 0.25, "status_code": 204}]},
		{"id": "msg_1_1", "event": "job.succeeded", "status": "pending", "receiver": "example.com",
		"created_at": "2026-03-01T13:00:00Z", "next_attempt_at": "2026-03-01T13:00:05Z", "attempts": []}]}`
	c := faulty(t, cut, answerWith(t, "GET", "/v1/jobs/1%2F2/deliveries", 200, listed), refuse(404, client.CodeJobNotFound))
	deliveries, err := c.Deliveries(t.Context(), "1/2")
	require.NoError(t, err)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	again := noon.Add(time.Hour + 5*time.Second)
	require.Equal(t, []client.Delivery{
		{
			ID: "msg_1_0", Event: "job.failed", Status: client.DeliveryDelivered, Receiver: "example.com", CreatedAt: noon,
			Attempts: []client.DeliveryAttempt{
				{StartedAt: noon.Add(time.Second), Seconds: 15, Error: "timeout"},
				{StartedAt: noon.Add(20 * time.Second), Seconds: 0.25, StatusCode: 204},
			},
		},
		{
			ID: "msg_1_1", Event: "job.succeeded", Status: client.DeliveryPending, Receiver: "example.com", CreatedAt: noon.Add(time.Hour),
			NextAttemptAt: &again, Attempts: []client.DeliveryAttempt{},
		},
	}, deliveries)
	_, err = c.Deliveries(t.Context(), "1")
	require.True(t, client.IsCode(err, client.CodeJobNotFound))
}
