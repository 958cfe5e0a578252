package chaos

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/claim"
)

const (
	// age is more than the age from which on a file can be an orphan: 48 hours and 20 minutes plus the job deadline.
	age = 5 * 24 * time.Hour
	// sweepTimeout is how long the sweep of the files and the tombstones may take. It is done every few seconds.
	sweepTimeout = 30 * time.Second
	// claimsTime is how much longer the sweep of the claims may take than that of the other files.
	claimsTime = 3 * time.Second
)

// Keys of files that belong to no job. They are the last ones in their buckets, so a sweep comes to them last.
const (
	orphan       = "ffffffff-ffff-4fff-bfff-ffffffffffff"
	orphanResult = orphan + "/result.pdf"
	youngOrphan  = "ffffffff-ffff-4fff-bfff-fffffffffffe"
)

// sweep pretends that days have passed. Then it checks that the status service deletes exactly what belongs to no job.
func (a *audit) sweep(ctx context.Context, d *deployment, l *ledger) error {
	before, err := d.inventory.stored(ctx)
	if err != nil {
		return err
	}
	if err := d.inventory.pass(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if !d.swept(limited) {
		l.violatef(leftover, "the orphans were not swept within %s", sweepTimeout)
	}
	time.Sleep(claimsTime)
	after, err := d.inventory.stored(ctx)
	if err != nil {
		return err
	}
	rows, err := d.inventory.rows(ctx)
	if err != nil {
		return err
	}
	a.swept = len(before.sources) + len(before.results) - len(after.sources) - len(after.results) + 2
	l.judgeSources(after.sources, rows)
	l.judgeResults(after.results, rows)
	return nil
}

// swept waits until the orphans and the tombstones were deleted. It returns false if ctx ends before.
func (d *deployment) swept(ctx context.Context) bool {
	const pause = 200 * time.Millisecond
	for {
		files, err := d.inventory.stored(ctx)
		if err == nil && !files.has(orphan, orphanResult) {
			rows, err := d.inventory.rows(ctx)
			if err == nil && !slices.ContainsFunc(rows, func(r row) bool { return r.Gone != "" }) {
				return true
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}

// judgeSources checks what a sweep has left in the bucket of the documents.
func (l *ledger) judgeSources(keys []string, rows []row) {
	jobs, known := make(map[string]bool), map[string]bool{claim.SecretKey: true, installationKey: true, youngOrphan: true}
	require := func(key string, of row, what string) {
		known[key] = true
		if !of.Withdrawn && key != "" && !slices.Contains(keys, key) {
			l.violatef(premature, "the %s of job %s, which is %s, is not in the store any more", what, of.ID, of.Status)
		}
	}
	for _, one := range rows {
		jobs[one.ID] = true
		if one.Gone == "" {
			require(one.SourceKey, one, "document")
			require(one.ClaimKey, one, "record of the key")
		}
	}
	for _, key := range keys {
		if id, marker := cancellation.JobOf(key); !known[key] && (!marker || !jobs[id.String()]) {
			l.violatef(leftover, "%s is in the store after a sweep", key)
		}
	}
	if !slices.Contains(keys, youngOrphan) {
		l.violatef(premature, "a new file was swept, although its job may not be recorded yet")
	}
}

// judgeResults checks what a sweep has left in the bucket of the results.
func (l *ledger) judgeResults(keys []string, rows []row) {
	known := map[string]bool{installationKey: true}
	for _, one := range rows {
		if one.Gone != "" || one.Status != "succeeded" {
			continue
		}
		known[one.ResultKey] = true
		if !slices.Contains(keys, one.ResultKey) {
			l.violatef(premature, "the result of job %s is not in the store any more", one.ID)
		}
	}
	for _, key := range keys {
		if !known[key] {
			id, _, _ := strings.Cut(key, "/")
			l.violatef(leftover, "%s of job %s is in the store after a sweep", key, id)
		}
	}
}
