package reuse

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/status/jobstore"
)

// The values of the label outcome.
const (
	reused  = "reused"
	none    = "none"
	large   = "large"
	limited = "limited"
	busy    = "busy"
	full    = "full"
	failed  = "failed"
)

func newMetric(registry prometheus.Registerer) *prometheus.CounterVec {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: "status", Name: "reuse_requests_total",
		Help: "Requests for a copy of an earlier result, by outcome: reused, none (there is no such result), large (it has more than 16 MiB), " +
			"limited (too many bytes were copied), busy (too many requests at once), full (the disk) or failed. " +
			"For every outcome except reused, the document is converted.",
	}, []string{"outcome"})
	registry.MustRegister(requests)
	for _, outcome := range []string{reused, none, large, limited, busy, full, failed} {
		requests.WithLabelValues(outcome)
	}
	return requests
}

// outcomeOf returns the outcome of a request that has ended with err.
func outcomeOf(err error) string {
	if err == nil {
		return reused
	}
	for _, refusal := range []struct {
		err     error
		outcome string
	}{{jobstore.ErrNotFound, none}, {blob.ErrNotFound, none}, {errLarge, large}, {errLimited, limited}, {errBusy, busy}, {blob.ErrFull, full}} {
		if errors.Is(err, refusal.err) {
			return refusal.outcome
		}
	}
	return failed
}
