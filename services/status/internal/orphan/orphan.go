// Package orphan deletes files that belong to no job: uploads of rejected submissions, results of attempts that lost, and uploads
// that were never finished. It never deletes what an accepted job needs. An accepted job may not be recorded yet, so the sweep only
// considers files that are older than every job whose events may still arrive, according to the watermark.
package orphan

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/objectkey"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

const (
	// interval is how often a replica asks at least whether it is its turn.
	interval = time.Minute
	// batch is how many files are looked up in one query.
	batch = 500
	// UploadAge is longer than any upload takes: at the default min-upload-rate, the largest document takes 18 hours.
	UploadAge = 48 * time.Hour
	// chore is the name of the work.
	chore = "orphans"
)

// Sweep deletes orphans.
type Sweep struct {
	Jobs             jobstore.Store
	Clock            *clock.Clock
	Sources, Results blob.Bucket
	// JobDeadline is how long after its submission a job may still be converted.
	JobDeadline time.Duration
	// MinAge is the minimum age of a file that is deleted. Some stores report the time at which its upload began.
	MinAge time.Duration
	// Every is the time between two sweeps, whichever replicas make them.
	Every time.Duration
	Log   *zap.Logger

	deleted *prometheus.CounterVec
}

// New returns a Sweep with a metric of what it deletes.
func New(s Sweep, registry prometheus.Registerer) *Sweep {
	s.deleted = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: "status", Name: "orphans_deleted_total",
		Help: "Files that belonged to no job and were deleted, by kind: source, result, unfinished (an upload) and claim (the record of an idempotency key).",
	}, []string{"kind"})
	registry.MustRegister(s.deleted)
	for _, kind := range []string{kindSource, kindResult, kindUnfinished, kindClaim} {
		s.deleted.WithLabelValues(kind)
	}
	return &s
}

// The values of the label kind.
const (
	kindSource     = "source"
	kindResult     = "result"
	kindUnfinished = "unfinished"
	kindClaim      = "claim"
)

// Run sweeps the files until drain is closed. It is a component of package host.
func (s *Sweep) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return s.run("the sweep of orphans failed; the next one will retry", chore, s.Every, s.Files)(ctx, ready, drain)
}

// run returns a component that sweeps when it is this replica's turn: replicas share the work.
func (s *Sweep) run(
	failed, work string, every time.Duration, sweep func(context.Context, time.Duration) error,
) func(ctx context.Context, ready func(), drain <-chan struct{}) error {
	inTurn := func(ctx context.Context) error {
		lag, err := s.Clock.Lag(ctx)
		if err != nil {
			return err
		}
		turn, err := s.Jobs.Claim(ctx, work, every)
		if err != nil || !turn {
			return err
		}
		return sweep(ctx, lag)
	}
	return host.Every(min(interval, s.Every), func(ctx context.Context) {
		known := func(err error) bool { return clock.InDoubt(err) || errors.Is(err, jobstore.ErrNotReady) }
		if err := inTurn(ctx); err != nil && ctx.Err() == nil && !known(err) {
			s.Log.Warn(failed, zap.Error(err))
		}
	})
}

// before returns a time: every file that is older belongs to a recorded job, or to no job, even if the clock is ahead by lag. known is
// false if there is no watermark.
func (s *Sweep) before(ctx context.Context, lag time.Duration) (before time.Time, known bool, err error) {
	until, err := s.Jobs.Watermark(ctx)
	return until.Add(-s.JobDeadline - watermark.SweepMargin - s.MinAge - lag), !until.IsZero(), err
}

// Files sweeps both buckets, except for the records of idempotency keys. The clock may be ahead by lag. Without a watermark, it does
// nothing.
func (s *Sweep) Files(ctx context.Context, lag time.Duration) error {
	before, known, err := s.before(ctx, lag)
	if err != nil || !known {
		return err
	}
	if err := errors.Join(s.requireOwn(ctx, s.Sources), s.requireOwn(ctx, s.Results)); err != nil {
		return err
	}
	return errors.Join(
		s.sweep(ctx, s.Sources, kindSource, before, s.unusedSources),
		s.sweep(ctx, s.Results, kindResult, before, s.unusedResults),
		s.unfinished(ctx, s.Sources, lag), s.unfinished(ctx, s.Results, lag),
	)
}

// installationKey is the key, in each bucket, of the id of the installation that the bucket belongs to. No job has such a key.
const installationKey = "installation/id"

// errForeign means that a bucket belongs to another installation.
var errForeign = errors.New("the bucket belongs to another installation; check the settings of the database and of the buckets")

// requireOwn returns an error if the bucket belongs to another installation than the database. It makes the installation the owner of a
// bucket that has none. Without this check, a wrong setting, such as the URL of an empty database, would make every file an orphan.
func (s *Sweep) requireOwn(ctx context.Context, bucket blob.Bucket) error {
	own, err := s.Jobs.Installation(ctx)
	if err != nil || own == uuid.Nil {
		return err
	}
	id := own.String()
	owner, err := ownerOf(ctx, bucket)
	if err == nil || !errors.Is(err, blob.ErrNotFound) {
		return foreign(owner, id, err)
	}
	err = bucket.Put(ctx, installationKey, strings.NewReader(id), int64(len(id)), blob.PutOptions{ContentType: "text/plain", CreateOnce: true})
	if err == nil {
		return nil
	}
	if !errors.Is(err, blob.ErrExists) {
		return err
	}
	owner, err = ownerOf(ctx, bucket)
	return foreign(owner, id, err)
}

// ownerOf returns the id of the installation that a bucket belongs to.
func ownerOf(ctx context.Context, bucket blob.Bucket) (string, error) {
	content, err := bucket.Get(ctx, installationKey, 0, int64(len(uuid.Nil.String())))
	if err != nil {
		return "", err
	}
	defer content.Close()
	owner, err := io.ReadAll(content)
	return string(owner), err
}

// foreign returns err, the error of reading the owner, or errForeign if the owner is another installation.
func foreign(owner, own string, err error) error {
	if err == nil && owner != own {
		return errForeign
	}
	return err
}

func (s *Sweep) unfinished(ctx context.Context, bucket blob.Bucket, lag time.Duration) error {
	n, err := bucket.DeleteUnfinished(ctx, UploadAge+lag)
	s.deleted.WithLabelValues(kindUnfinished).Add(float64(n))
	return err
}

// sweep deletes the files of a bucket that are older than before and that unused reports.
func (s *Sweep) sweep(
	ctx context.Context, bucket blob.Bucket, kind string, before time.Time, unused func(context.Context, []string) ([]string, error),
) error {
	var keys []string
	flush := func() error {
		orphans, err := unused(ctx, keys)
		keys = keys[:0]
		for _, key := range orphans {
			if err := bucket.Delete(ctx, key); err != nil {
				return err
			}
			s.deleted.WithLabelValues(kind).Inc()
			s.Log.Info("deleted a file that belongs to no job", zap.String("kind", kind), zap.String("object_key", key))
		}
		return err
	}
	for entry, err := range bucket.List(ctx, "", "") {
		if err != nil {
			return err
		}
		if entry.ModifiedAt.Before(before) {
			keys = append(keys, entry.Key)
		}
		if len(keys) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// unusedSources returns the keys that no job needs. The records of idempotency keys are not among them: they are deleted with their
// jobs, or by Claims.
func (s *Sweep) unusedSources(ctx context.Context, keys []string) ([]string, error) {
	var documents, unused []string
	markers := map[string]string{}
	for _, key := range keys {
		if id, marker := cancellation.JobOf(key); marker {
			markers[key] = id.String()
		} else if objectkey.IsDocument(key) {
			documents = append(documents, key)
		}
	}
	used, err := s.Jobs.Sources(ctx, documents)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, key := range used {
		known[key] = true
	}
	for _, key := range documents {
		if !known[key] {
			unused = append(unused, key)
		}
	}
	jobs, err := s.jobs(ctx, markers)
	if err != nil {
		return nil, err
	}
	for key, id := range markers {
		if _, found := jobs[id]; !found {
			unused = append(unused, key)
		}
	}
	return unused, nil
}

// unusedResults returns the keys that are not the result of a job, and cannot become one. The result of a deleted or expired job may
// exist although its deletion is recorded: a backup was restored, or a power failure has undone the deletion.
func (s *Sweep) unusedResults(ctx context.Context, keys []string) ([]string, error) {
	owners := map[string]string{}
	for _, key := range keys {
		if id, found := objectkey.JobOfResult(key); found {
			owners[key] = id.String()
		}
	}
	jobs, err := s.jobs(ctx, owners)
	if err != nil {
		return nil, err
	}
	var unused []string
	for key, id := range owners {
		j, found := jobs[id]
		pending := found && !j.Status.Terminal()
		if !pending && (j.Result == nil || j.Result.ObjectKey != key || j.FilesDeleted) {
			unused = append(unused, key)
		}
	}
	return unused, nil
}

// jobs returns the jobs with the ids that are the values of the map, by id.
func (s *Sweep) jobs(ctx context.Context, ids map[string]string) (map[string]job.Job, error) {
	wanted := map[uuid.UUID]bool{}
	for _, id := range ids {
		if parsed, err := uuid.Parse(id); err == nil {
			wanted[parsed] = true
		}
	}
	var list []uuid.UUID
	for id := range wanted {
		list = append(list, id)
	}
	stored, err := s.Jobs.Jobs(ctx, list)
	if err != nil {
		return nil, err
	}
	found := map[string]job.Job{}
	for _, j := range stored {
		found[j.ID.String()] = j
	}
	return found, nil
}
