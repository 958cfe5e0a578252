package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/internal/postgres/query"
)

// folding is the work of one transaction on the jobs that it has locked.
type folding struct {
	jobs map[uuid.UUID]*folded
	// order keeps the rows' order, so that they are written as they were locked.
	order []uuid.UUID
}

// folded is one job and what has become of it.
type folded struct {
	job    fold.Job
	change fold.Change
}

func newFolding(rows []query.Job) *folding {
	f := &folding{jobs: make(map[uuid.UUID]*folded, len(rows)), order: make([]uuid.UUID, len(rows))}
	for i, row := range rows {
		f.jobs[row.ID] = &folded{job: fromRow(row)}
		f.order[i] = row.ID
	}
	return f
}

// apply folds one event and tells whether it changed its job, which has to be among the locked ones.
func (f *folding) apply(event fold.Event) bool {
	entry := f.jobs[event.Job()]
	after, change := fold.Apply(entry.job, event)
	entry.job = after
	entry.change.Any = entry.change.Any || change.Any
	entry.change.State = entry.change.State || change.State
	return change.Any
}

// write writes the changed jobs in one round trip and tells about those whose state has changed in another. PostgreSQL sends
// notifications at the commit, under a lock that all committing transactions share: hence one statement for the whole
// batch, and none for progress.
func (f *folding) write(ctx context.Context, queries *query.Queries) error {
	var rows []query.WriteJobParams
	var moved []uuid.UUID
	for _, id := range f.order {
		entry := f.jobs[id]
		if entry.change.Any {
			rows = append(rows, toRow(entry.job))
		}
		if entry.change.State && entry.job.Visible() {
			moved = append(moved, id)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	var failures []error
	queries.WriteJob(ctx, rows).Exec(func(_ int, err error) {
		if err != nil && len(failures) == 0 { // those after the first only say that there was one before
			failures = append(failures, err)
		}
	})
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("write the jobs: %w", err)
	}
	if len(moved) == 0 {
		return nil
	}
	if err := queries.Notify(ctx, query.NotifyParams{Channel: channel, Payloads: payloads(moved)}); err != nil {
		return fmt.Errorf("tell about the changes: %w", err)
	}
	return nil
}

const (
	// channel is the name that is listened to.
	channel = "docmill_jobs"
	// idsInPayload keeps a payload of ids with 37 characters each below PostgreSQL's limit of 8,000 bytes.
	idsInPayload = 200
)

// payloads writes ids as notifications' payloads: separated by blanks.
func payloads(ids []uuid.UUID) []string {
	var all []string
	for len(ids) > 0 {
		n := min(idsInPayload, len(ids))
		words := make([]string, n)
		for i, id := range ids[:n] {
			words[i] = id.String()
		}
		all = append(all, strings.Join(words, " "))
		ids = ids[n:]
	}
	return all
}

// idsOf reads a payload. It skips what is no id: a newer replica may say more.
func idsOf(payload string) []uuid.UUID {
	var ids []uuid.UUID
	for word := range strings.FieldsSeq(payload) {
		if id, err := uuid.Parse(word); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}
