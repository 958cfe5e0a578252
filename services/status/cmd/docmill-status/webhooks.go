package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/docmill/docmill/services/status"
	"github.com/docmill/docmill/services/status/postgres"
)

const (
	webhooksName        = status.Name + " webhooks"
	webhooksDescription = "Sends all webhooks of jobs again, with the same ids: `docmill-status webhooks resend JOB...`. " +
		"The running replicas of the service send them within a second."
)

// webhooksCommand is `docmill-status webhooks resend`. It accepts all settings of the service, so that it can run with the
// service's environment and file, but uses only those of the database.
type webhooksCommand struct {
	settings

	Resend resendTask `cmd:"" help:"Send all webhooks of jobs again."`
}

type resendTask struct {
	Jobs []string `arg:"" name:"job" help:"The ids of the jobs."`
}

// Validate checks the ids.
func (c *resendTask) Validate() error {
	var faults []error
	for _, job := range c.Jobs {
		if _, err := uuid.Parse(job); err != nil {
			faults = append(faults, fmt.Errorf("%q is not the id of a job", job))
		}
	}
	return errors.Join(faults...)
}

// run makes the webhooks due, and writes a line for each job to out.
func (c *webhooksCommand) run(ctx context.Context, out io.Writer) error {
	store, err := postgres.Open(c.Database, zap.NewNop()) //nolint:contextcheck // it connects when it is used
	if err != nil {
		return err
	}
	defer store.Close()
	var missing []error
	for _, job := range c.Resend.Jobs {
		resent, err := store.ResendDeliveries(ctx, uuid.MustParse(job))
		if err != nil {
			return err
		}
		if resent == 0 {
			missing = append(missing, fmt.Errorf("job %s has no webhooks, or they were deleted", job))
			continue
		}
		fmt.Fprintf(out, "job %s: %d to be sent again\n", job, resent)
	}
	return errors.Join(missing...)
}
