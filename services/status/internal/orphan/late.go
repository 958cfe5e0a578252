package orphan

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/services/status/job"
)

const (
	// lateAfter is how long after its event a late result is deleted. By then, the event was acknowledged, and the change that made it
	// late has reached the standbys of the database. Before that, a failover could lose that change, and the event, delivered again,
	// would need the result.
	lateAfter = 5 * time.Minute
	// lateEvery is the time between two looks at the late results.
	lateEvery = 10 * time.Second
	// maxLate is how many late results are remembered. The sweep finds the others.
	maxLate = 10_000
)

// Late deletes results that were stored too late, long before the sweep would find them: their job was canceled or deleted, or another
// attempt has ended it. The results that it has not deleted when the process stops are left to the sweep.
type Late struct {
	// After is how long it waits. New sets it.
	After time.Duration

	sweep *Sweep
	mu    sync.Mutex
	ends  []lateEnd // the earliest first
}

type lateEnd struct {
	id         uuid.UUID
	generation int32
	key        string
	at         time.Time
	// copied means that no event has the result: if the job does not have it now, it never will.
	copied bool
}

// Late returns a Late that shares the buckets and the metric of the sweep.
func (s *Sweep) Late() *Late { return &Late{After: lateAfter, sweep: s} }

// Dropped notes that an end had no effect on its job. It does not block.
func (l *Late) Dropped(end job.Ended) { l.add(end, false) }

// Uncertain notes the end of a job with a copy of an earlier result, if it is not known whether the job was recorded. No event has that
// result. Uncertain does not block.
func (l *Late) Uncertain(end job.Ended) { l.add(end, true) }

func (l *Late) add(end job.Ended, copied bool) {
	// An object that another job's result may share has another prefix.
	if end.Result == nil || !strings.HasPrefix(end.Result.ObjectKey, end.Job().String()+"/") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ends) < maxLate {
		l.ends = append(l.ends, lateEnd{id: end.Job(), generation: end.Generation, key: end.Result.ObjectKey, at: time.Now(), copied: copied})
	}
}

// Run deletes late results until drain is closed. It is a component of package host.
func (l *Late) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return host.Every(min(lateEvery, l.After), func(ctx context.Context) {
		if err := l.clean(ctx); err != nil && ctx.Err() == nil {
			l.sweep.Log.Info("cannot delete late results; the sweep will find them", zap.Error(err))
		}
	})(ctx, ready, drain)
}

// clean deletes the results that are old enough. Those that it cannot delete are left to the sweep.
func (l *Late) clean(ctx context.Context) error {
	for some := range slices.Chunk(l.take(), batch) {
		owners := map[string]string{}
		for _, end := range some {
			owners[end.key] = end.id.String()
		}
		jobs, err := l.sweep.jobs(ctx, owners)
		if err != nil {
			return err
		}
		for _, end := range some {
			if j, found := jobs[end.id.String()]; found && end.lost(j) {
				if err := l.sweep.Results.Delete(ctx, end.key); err != nil {
					return err
				}
				l.sweep.deleted.WithLabelValues(kindResult).Inc()
				l.sweep.Log.Info("deleted a result that came too late", logging.JobID(j.ID.String()), zap.String("object_key", end.key))
			}
		}
	}
	return nil
}

// take removes the ends that are old enough.
func (l *Late) take() []lateEnd {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.ends) && time.Since(l.ends[n].at) >= l.After {
		n++
	}
	due := slices.Clone(l.ends[:n])
	l.ends = slices.Delete(l.ends, 0, n)
	return due
}

// lost reports whether the result can never be that of the job: the job has ended without it, and no event can change that.
func (e lateEnd) lost(j job.Job) bool {
	for _, record := range append(slices.Clone(j.Others), j.Record) {
		if record.Result != nil && record.Result.ObjectKey == e.key {
			return false // the event was delivered twice
		}
	}
	return e.copied || j.Gone != "" || j.Visible() && (j.Status.Terminal() || j.Generation > e.generation)
}
