package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/services/status/delivery"
)

// deliveries handles GET /v1/jobs/{id}/deliveries.
func (a *api) deliveries(c *gin.Context, id uuid.UUID) error {
	found, err := a.find(c.Request.Context(), id)
	if err != nil {
		return err
	}
	if found == nil {
		return unknown()
	}
	known, err := a.Jobs.Deliveries(c.Request.Context(), id)
	if err != nil {
		return err
	}
	answer := jobapi.Deliveries{Deliveries: make([]jobapi.Delivery, len(known))}
	for i, d := range known {
		answer.Deliveries[i] = representDelivery(d)
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, answer)
	return nil
}

// representDelivery returns the public representation of a delivery. The URL is not part of it: it may contain a token, and
// not everybody who knows the id of the job may know that.
func representDelivery(d delivery.Delivery) jobapi.Delivery {
	public := jobapi.Delivery{
		ID: d.ID(), Event: d.Event, Status: jobapi.DeliveryStatus(d.State), Receiver: d.Host(), CreatedAt: d.EnqueuedAt,
		Attempts: make([]jobapi.DeliveryAttempt, len(d.Attempts)),
	}
	if d.State == delivery.Pending {
		public.NextAttemptAt = &d.DueAt
	}
	for i, attempt := range d.Attempts {
		public.Attempts[i] = jobapi.DeliveryAttempt{
			StartedAt: attempt.StartedAt, Seconds: attempt.Duration.Seconds(), StatusCode: attempt.StatusCode, Error: string(attempt.Fault),
		}
	}
	return public
}
