package main

import (
	"fmt"
	"time"

	"github.com/docmill/docmill/platform/broker"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/status/internal/postgres"
)

// settings are all that can be set.
type settings struct {
	service.Settings

	Address     string          `default:"127.0.0.1:8090" help:"Address that the gateway asks for states. Private: nothing on it is authenticated."`
	Broker      broker.Config   `embed:"" prefix:"broker-"`
	Database    postgres.Config `embed:"" prefix:"database-"`
	BatchSize   int             `default:"256" help:"Most events that are applied in one transaction."`
	MaxWaiters  int             `default:"10000" help:"Most requests that may wait for a change at the same time; further ones are answered at once."`
	JobDeadline time.Duration   `default:"24h" help:"How long after its submission a job that has not ended is failed."`
}

// The bounds of settings.
const (
	maxBatch    = 10_000 // twice that is the consumer's prefetch, whose limit in AMQP is 65,535
	minDeadline = time.Minute
)

// Validate refuses what makes no sense.
func (s *settings) Validate() error {
	switch {
	case s.BatchSize < 1 || s.BatchSize > maxBatch:
		return fmt.Errorf("setting batch-size: %d is not in 1 to %d", s.BatchSize, maxBatch)
	case s.MaxWaiters < 1:
		return fmt.Errorf("setting max-waiters: %d is less than 1", s.MaxWaiters)
	case s.JobDeadline < minDeadline:
		return fmt.Errorf("setting job-deadline: %s is less than %s", s.JobDeadline, minDeadline)
	default:
		return nil
	}
}
