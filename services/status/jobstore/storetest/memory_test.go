package storetest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/internal/fold"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
)

// memoryDatabase is a database in memory. Its stores have the given bugs, to test the suite.
type memoryDatabase struct {
	bugs map[bug]bool
	lock chan struct{} // holds a token while a transaction runs

	mu        sync.Mutex
	jobs      map[uuid.UUID]record
	watermark time.Time
	audiences []jobstore.Audience
	chores    map[string]time.Time // when each is to be done next
	seen      jobstore.Observation

	deliveries map[delivery.Key]memoryDelivery
	bells      []jobstore.Bell
}

type record struct {
	job       job.Job
	firstSeen time.Time
}

func newMemory(bugs ...bug) storetest.Implementation {
	var within time.Duration // the default
	if len(bugs) > 0 {
		within = time.Second
	}
	return storetest.Implementation{Replicas: true, NotifyWithin: within, New: func(testing.TB) storetest.Database {
		d := &memoryDatabase{bugs: map[bug]bool{}, lock: make(chan struct{}, 1), jobs: map[uuid.UUID]record{}, chores: map[string]time.Time{}, deliveries: map[delivery.Key]memoryDelivery{}}
		for _, b := range bugs {
			d.bugs[b] = true
		}
		return d
	}}
}

func (d *memoryDatabase) Open(testing.TB) jobstore.Store {
	if d.bugs[forgetOnRestart] {
		d.jobs, d.watermark = map[uuid.UUID]record{}, time.Time{}
	}
	s := &memoryStore{d: d, bell: jobstore.NewBell()}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bells = append(d.bells, s.bell)
	return s
}

func (d *memoryDatabase) Backdate(_ testing.TB, by time.Duration, ids ...uuid.UUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		r := d.jobs[id]
		r.firstSeen = r.firstSeen.Add(-by)
		d.jobs[id] = r
	}
}

func (d *memoryDatabase) SetClock(_ testing.TB, by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range []*time.Time{&d.seen.SeenAt, &d.seen.HeldUntil, &d.seen.JumpedAt, &d.seen.Trusted} {
		if !at.IsZero() {
			*at = at.Add(-by)
		}
	}
}

// snapshot returns a copy of all records.
func (d *memoryDatabase) snapshot() map[uuid.UUID]record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.jobs)
}

// memoryStore is a store on a memoryDatabase.
type memoryStore struct {
	d         *memoryDatabase
	audiences []jobstore.Audience
	bell      jobstore.Bell

	mu      sync.Mutex
	running bool
	listed  int // by the latest pages, for listByOffset
}

func (s *memoryStore) Notify(audience jobstore.Audience) { s.audiences = append(s.audiences, audience) }

func (s *memoryStore) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	s.d.mu.Lock()
	s.d.audiences = append(s.d.audiences, s.audiences...)
	s.d.mu.Unlock()
	s.setRunning(true)
	defer s.setRunning(false)
	ready()
	for _, audience := range s.audiences {
		audience.WakeAll()
	}
	select {
	case <-drain:
	case <-ctx.Done():
	}
	return nil
}

func (s *memoryStore) setRunning(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = running
}

func (s *memoryStore) Check(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running && !s.d.bugs[alwaysReady] {
		return jobstore.ErrNotReady
	}
	if s.d.bugs[ignoreContext] {
		return nil
	}
	return ctx.Err()
}

func (s *memoryStore) Job(ctx context.Context, id uuid.UUID) (job.Job, error) {
	if err := s.Check(ctx); err != nil {
		if s.d.bugs[canceledIsNotFound] && ctx.Err() != nil {
			return job.Job{}, jobstore.ErrNotFound
		}
		return job.Job{}, err
	}
	r, found := s.d.snapshot()[id]
	switch {
	case !found && s.d.bugs[unknownIsEmpty]:
		return job.Job{}, nil
	case !found:
		return job.Job{}, jobstore.ErrNotFound
	}
	_, err := jobstore.Visible(r.job, nil)
	if errors.Is(err, jobstore.ErrPlaceholder) && s.d.bugs[placeholderIsUnknown] {
		err = jobstore.ErrNotFound
	}
	if r.job.Submission == nil && s.d.bugs[showPlaceholder] || r.job.Withdrawn && s.d.bugs[showWithdrawn] || s.d.bugs[showGone] {
		err = nil
	}
	return r.job, err
}

func (s *memoryStore) OldestWaiting(ctx context.Context) (time.Duration, error) {
	if err := s.Check(ctx); err != nil {
		return 0, err
	}
	var ages []time.Duration
	for _, r := range s.d.snapshot() {
		attempted := (r.job.Attempt > 0 || r.job.Status != job.Queued) && !s.d.bugs[waitingAttempted]
		hidden := r.job.Withdrawn && !s.d.bugs[waitingHidden]
		if r.job.Submission != nil && !attempted && !hidden {
			ages = append(ages, time.Since(r.job.Submission.RequestedAt))
		}
	}
	switch {
	case len(ages) == 0:
		return 0, nil
	case s.d.bugs[waitingYoungest]:
		return slices.Min(ages), nil
	default:
		return slices.Max(ages), nil
	}
}

func (s *memoryStore) Apply(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	if s.d.bugs[refusalFailsBatch] {
		return s.applyTogether(ctx, events)
	}
	outcomes, err := fold.Apply(ctx, events, s.applyTogether)
	if s.d.bugs[reportAllChanged] {
		for i := range outcomes {
			outcomes[i].Changed = true
		}
	}
	return outcomes, err
}

func (s *memoryStore) applyTogether(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	outcomes := make([]jobstore.Outcome, len(events))
	err := s.transact(ctx, func(records map[uuid.UUID]record) ([]job.Job, func(*fold.Batch)) {
		var jobs []job.Job
		for _, id := range fold.IDs(events) {
			r, found := records[id]
			if !found {
				r = record{job.New(id), time.Now()}
				records[id] = r
			}
			jobs = append(jobs, s.d.loosen(r.job))
		}
		return jobs, func(batch *fold.Batch) {
			if s.d.bugs[reverseOrder] {
				for i, event := range slices.Backward(events) {
					outcomes[i].Changed = batch.Apply(event)
				}
				return
			}
			for i, event := range events {
				outcomes[i].Changed = batch.Apply(event)
			}
		}
	})
	if errors.Is(err, jobstore.ErrRefused) && s.d.bugs[swallowRefused] {
		return outcomes, nil
	}
	return outcomes, err
}

// loosen makes a job accept events that it must not accept, for the bugs that do.
func (d *memoryDatabase) loosen(j job.Job) job.Job {
	if d.bugs[anySubmission] {
		j.SubmissionID = uuid.Nil
	}
	if d.bugs[leaveTerminal] && j.Status.Terminal() {
		j.Status = job.Running
	}
	if d.bugs[secondCompletionWins] && j.Status.Terminal() {
		j.Status = job.Running
		j.Attempt = 1 << 30 // so that only an end has an effect
	}
	return j
}

func (s *memoryStore) Expire(
	ctx context.Context, age time.Duration, limit int, end func(job.Job) job.Event,
) ([]job.Job, error) {
	until, err := s.Watermark(ctx)
	if err != nil {
		return nil, err
	}
	if s.d.bugs[expireByClock] {
		until = time.Now()
	}
	var expired []job.Job
	err = s.transact(ctx, func(records map[uuid.UUID]record) ([]job.Job, func(*fold.Batch)) {
		overdue := slices.SortedFunc(maps.Values(records), func(a, b record) int {
			order := cmp.Or(a.firstSeen.Compare(b.firstSeen), strings.Compare(a.job.ID.String(), b.job.ID.String()))
			if s.d.bugs[expireYoungestFirst] {
				return -order
			}
			return order
		})
		for _, r := range overdue {
			finished := r.job.Status.Terminal() && !s.d.bugs[expireFinished] || r.job.Withdrawn && !s.d.bugs[expireWithdrawn]
			fresh := !r.firstSeen.Before(until.Add(-age)) && !s.d.bugs[expireFresh]
			full := len(expired) == limit && !s.d.bugs[expireWithoutLimit]
			if !finished && !fresh && !full {
				expired = append(expired, r.job)
			}
		}
		return slices.Clone(expired), func(batch *fold.Batch) {
			for _, j := range expired {
				batch.Apply(end(j))
			}
			if s.d.bugs[expireReturnsAfter] {
				expired = batch.Changed()
			}
		}
	})
	return expired, err
}

func (s *memoryStore) DeleteWithdrawn(ctx context.Context, age time.Duration, limit int) (int, error) {
	until, err := s.Watermark(ctx)
	if err != nil {
		return 0, err
	}
	if !s.d.bugs[deleteUnlocked] {
		s.d.lock <- struct{}{}
		defer func() { <-s.d.lock }()
	}
	records, deleted := s.d.snapshot(), 0
	if s.d.bugs[deleteUnlocked] {
		time.Sleep(time.Millisecond) // for the others to apply what the deletion overlooks
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	for id, r := range records {
		withdrawn := r.job.Withdrawn || s.d.bugs[deleteQueued] && r.job.Attempt == 0
		fresh := !r.firstSeen.Before(until.Add(-age)) && !s.d.bugs[deleteFresh]
		if withdrawn && !fresh && deleted < limit {
			delete(s.d.jobs, id)
			deleted++
		}
	}
	return deleted, nil
}

func (s *memoryStore) Due(ctx context.Context, lag time.Duration, limit int, next func(job.Job) job.Event) ([]job.Job, error) {
	if s.d.bugs[dueWithoutLag] {
		lag = 0
	}
	return s.each(ctx, limit, next, func(j job.Job) time.Time {
		if j.DueAt.After(time.Now().Add(-lag)) && !s.d.bugs[dueEarly] {
			return time.Time{}
		}
		return j.DueAt
	})
}

func (s *memoryStore) DueRequests(ctx context.Context, limit int, next func(job.Job) job.Event) ([]job.Job, error) {
	return s.each(ctx, limit, next, func(j job.Job) time.Time {
		deleted := j.Gone == job.Deleted && !j.FilesDeleted
		if j.DueAt.After(time.Now()) || !j.Unpublished && !deleted && !s.d.bugs[dueUnrequested] {
			return time.Time{}
		}
		return j.DueAt
	})
}

func (s *memoryStore) Keep(ctx context.Context, limit int, next func(job.Job) job.Event) (int, error) {
	kept, err := s.each(ctx, limit, next, func(j job.Job) time.Time {
		if !j.Status.Terminal() || !j.ExpiresAt.IsZero() && !s.d.bugs[keepAgain] {
			return time.Time{}
		}
		return j.FinishedAt
	})
	return len(kept), err
}

// each applies the event that next returns to at most limit of the jobs for which order returns a time, the earliest first.
func (s *memoryStore) each(
	ctx context.Context, limit int, next func(job.Job) job.Event, order func(job.Job) time.Time,
) ([]job.Job, error) {
	var after []job.Job
	err := s.transact(ctx, func(records map[uuid.UUID]record) ([]job.Job, func(*fold.Batch)) {
		var jobs []job.Job
		for _, r := range records {
			if !order(r.job).IsZero() {
				jobs = append(jobs, r.job)
			}
		}
		slices.SortFunc(jobs, func(a, b job.Job) int { return order(a).Compare(order(b)) })
		if !s.d.bugs[dueWithoutLimit] {
			jobs = jobs[:min(limit, len(jobs))]
		}
		return jobs, func(batch *fold.Batch) {
			for _, j := range jobs {
				batch.Apply(next(j))
			}
			after = batch.All()
			if s.d.bugs[dueReturnsBefore] {
				after = jobs
			}
		}
	})
	return after, err
}

func (s *memoryStore) Forget(_ context.Context, ids []uuid.UUID) (int, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	forgotten := 0
	for _, id := range ids {
		if r := s.d.jobs[id]; r.job.Gone != "" && (r.job.FilesDeleted || s.d.bugs[forgetFiles]) {
			delete(s.d.jobs, id)
			forgotten++
		}
	}
	return forgotten, nil
}

func (s *memoryStore) Jobs(_ context.Context, ids []uuid.UUID) ([]job.Job, error) {
	var found []job.Job
	for _, id := range ids {
		if r, stored := s.d.snapshot()[id]; stored && (r.job.Visible() || !s.d.bugs[jobsOnlyVisible]) {
			found = append(found, r.job)
		}
	}
	return found, nil
}

func (s *memoryStore) Sources(_ context.Context, keys []string) ([]string, error) {
	var found []string
	for _, r := range s.d.snapshot() {
		overlooked := s.d.bugs[sourcesNotOfGone] && r.job.Gone != "" || !s.d.bugs[sourcesOfDeleted] && r.job.FilesDeleted
		if r.job.Submission != nil && slices.Contains(keys, r.job.Submission.ObjectKey) && !overlooked {
			found = append(found, r.job.Submission.ObjectKey)
		}
	}
	return found, nil
}

func (s *memoryStore) Installation(context.Context) (uuid.UUID, error) { return uuid.Nil, nil }

func (s *memoryStore) Claim(_ context.Context, chore string, interval time.Duration) (bool, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.chores[chore].After(time.Now()) && !s.d.bugs[claimTwice] {
		return false, nil
	}
	s.d.chores[chore] = time.Now().Add(interval)
	if s.d.bugs[claimForever] {
		s.d.chores[chore] = time.Now().Add(time.Hour)
	}
	return true, nil
}

func (s *memoryStore) Observe(_ context.Context, jump, hold time.Duration) (jobstore.Observation, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	last, now := s.d.seen, time.Now().UTC()
	if s.d.bugs[observeForgets] {
		last = jobstore.Observation{}
	}
	if s.d.bugs[observeTrusts] {
		last.JumpedAt = time.Time{}
	}
	s.d.seen = last.Next(now, jump, hold)
	switch {
	case s.d.bugs[observeAgain] && s.d.seen.Held():
		s.d.seen.HeldUntil = now.Add(hold)
	case s.d.bugs[observeLatches] && last.Held() && now.Before(last.SeenAt), s.d.bugs[holdForever] && last.Held():
		s.d.seen = last
	case s.d.bugs[observeCancels] && now.Before(last.SeenAt.Add(-jump)):
		s.d.seen = jobstore.Observation{SeenAt: now}
	}
	return s.d.seen, nil
}

func (s *memoryStore) Now(ctx context.Context) (time.Time, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if s.d.bugs[wrongClock] {
		now = now.Add(-time.Hour)
	}
	return now, s.Check(ctx)
}

func (s *memoryStore) Advance(ctx context.Context, to time.Time) error {
	if err := s.Check(ctx); err != nil {
		return err
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	ahead := s.d.watermark.After(time.Now()) && !s.d.bugs[watermarkLatches]
	if to.After(s.d.watermark) || ahead || s.d.bugs[watermarkGoesBack] {
		s.d.watermark = to
	}
	return nil
}

func (s *memoryStore) Watermark(ctx context.Context) (time.Time, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.bugs[watermarkAhead] {
		return s.d.watermark, s.Check(ctx)
	}
	return jobstore.LimitWatermark(s.d.watermark, time.Now().UTC().Truncate(time.Microsecond)), s.Check(ctx)
}

// transact runs one transaction: load returns the jobs to work on, and the work.
func (s *memoryStore) transact(
	ctx context.Context, load func(map[uuid.UUID]record) ([]job.Job, func(*fold.Batch)),
) error {
	if err := s.Check(ctx); err != nil {
		return err
	}
	if !s.d.bugs[noLock] {
		select {
		case s.d.lock <- struct{}{}:
			defer func() { <-s.d.lock }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	records := s.d.snapshot()
	jobs, work := load(records)
	batch := fold.New(jobs)
	work(batch)
	if s.d.bugs[noLock] {
		runtime.Gosched()
	}
	changed := batch.Changed()
	for _, j := range changed {
		if err := s.d.refuses(j); err != nil {
			return err
		}
	}
	if s.d.bugs[wakeBeforeCommit] {
		s.d.notify(batch)
	}
	s.d.commit(records, changed, batch)
	if !s.d.bugs[wakeBeforeCommit] {
		s.d.notify(batch)
	}
	return nil
}

func (d *memoryDatabase) commit(records map[uuid.UUID]record, changed []job.Job, batch *fold.Batch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range changed {
		r := records[j.ID]
		if j.Generation > r.job.Generation && !d.bugs[keepDeadline] {
			r.firstSeen = time.Now()
		}
		r.job = d.damage(j)
		d.jobs[j.ID] = r
	}
	d.enqueue(batch)
}

// damage is what the bugs that lose data write.
func (d *memoryDatabase) damage(j job.Job) job.Job {
	if d.bugs[versionNotCounted] {
		j.Version = 1
	}
	if d.bugs[loseOthers] {
		j.Others = nil
	}
	if d.bugs[loseReport] {
		j.Report = nil
	}
	if d.bugs[loseFont] && j.Report != nil {
		damaged := *j.Report
		damaged.Fonts = slices.Clone(damaged.Fonts)
		for i := range damaged.Fonts {
			damaged.Fonts[i].ReplacedBy = ""
		}
		j.Report = &damaged
	}
	if d.bugs[loseRetryable] && j.Failure != nil {
		j.Failure = &job.Failure{Code: j.Failure.Code, Detail: j.Failure.Detail}
	}
	if d.bugs[loseCallback] && j.Submission != nil {
		damaged := *j.Submission
		damaged.Callback = nil
		j.Submission = &damaged
	}
	if d.bugs[loseWithdrawn] {
		j.Withdrawn = false
	}
	if d.bugs[loseRetry] {
		j.Retry = nil
	}
	if d.bugs[loseGeneration] {
		j.Generation = 0
	}
	if d.bugs[loseGone] {
		j.Gone = ""
	}
	if d.bugs[losePhase] {
		j.Phase = job.NoPhase
	}
	if d.bugs[truncateTimes] {
		j.FinishedAt = j.FinishedAt.Truncate(time.Millisecond)
	}
	return j
}

func (d *memoryDatabase) notify(batch *fold.Batch) {
	d.mu.Lock()
	audiences := slices.Clone(d.audiences)
	d.mu.Unlock()
	ids := batch.Notable()
	switch {
	case d.bugs[wakeNever]:
		ids = nil
	case d.bugs[wakeFirst] && len(ids) > 0:
		ids = ids[:1]
	case d.bugs[wakeForProgress], d.bugs[wakePlaceholders]:
		ids = nil
		for _, j := range batch.Changed() {
			if j.Visible() || d.bugs[wakePlaceholders] && j.Percent == 0 {
				ids = append(ids, j.ID)
			}
		}
	}
	for _, audience := range audiences {
		audience.Wake(ids...)
	}
}

// refuses reports what a database would refuse.
func (d *memoryDatabase) refuses(j job.Job) error {
	switch j.Status {
	case job.Queued, job.Running, job.Succeeded, job.Failed, job.Canceled:
	default:
		return fmt.Errorf("%w: status %q", jobstore.ErrRefused, j.Status)
	}
	if d.bugs[refuseCanceled] && j.Status == job.Canceled {
		return fmt.Errorf("%w: status %q", jobstore.ErrRefused, j.Status)
	}
	if d.bugs[storeAnyText] {
		return nil
	}
	return refuseTexts(reflect.ValueOf(j))
}

func refuseTexts(v reflect.Value) error {
	var errs []error
	switch v.Kind() {
	case reflect.String:
		if text := v.String(); strings.Contains(text, "\x00") || !utf8.ValidString(text) {
			return fmt.Errorf("%w: %q", jobstore.ErrRefused, text)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return refuseTexts(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			errs = append(errs, refuseTexts(v.Index(i)))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			errs = append(errs, refuseTexts(v.MapIndex(key)))
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			errs = append(errs, refuseTexts(field))
		}
	default:
	}
	return errors.Join(errs...)
}
