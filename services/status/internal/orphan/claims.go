package orphan

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/claim"
)

const (
	// claimsEvery is the time between two sweeps of the records of idempotency keys: each one has to be read.
	claimsEvery = 24 * time.Hour
	// parallel is how many records are read at the same time. There may be millions.
	parallel = 8
	// claimsChore is the name of the work.
	claimsChore = "orphaned claims"
)

// RunClaims sweeps the records of idempotency keys until drain is closed. It is a component of package host, apart from Run, because it
// may take hours.
func (s *Sweep) RunClaims(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return s.run("the sweep of the idempotency keys failed; the next one will retry", claimsChore, claimsEvery, s.Claims)(ctx, ready, drain)
}

// Claims deletes the records of idempotency keys whose jobs are not stored. The clock may be ahead by lag. Without a watermark, it does
// nothing.
func (s *Sweep) Claims(ctx context.Context, lag time.Duration) error {
	before, known, err := s.before(ctx, lag)
	if err != nil || !known {
		return err
	}
	if err := s.requireOwn(ctx, s.Sources); err != nil {
		return err
	}
	var keys []string
	var failure error
	sweep := func() {
		if err := s.claims(ctx, keys); err != nil {
			failure = err // the other records are swept all the same: the next sweep is a day later
		}
		keys = keys[:0]
	}
	for entry, err := range s.Sources.List(ctx, claim.Prefix, "") {
		if err != nil {
			return err
		}
		if claim.IsKey(entry.Key) && entry.ModifiedAt.Before(before) {
			keys = append(keys, entry.Key)
		}
		if len(keys) == batch {
			sweep()
		}
	}
	sweep()
	return failure
}

// claims deletes the records with the given keys whose jobs are not stored.
func (s *Sweep) claims(ctx context.Context, keys []string) error {
	owners, err := s.owners(ctx, keys)
	if err != nil {
		return err
	}
	jobs, err := s.jobs(ctx, owners)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(owners)) {
		id := owners[key]
		if _, stored := jobs[id]; stored {
			continue
		}
		if err := claim.Release(ctx, s.Sources, key, id); err != nil {
			return err
		}
		s.deleted.WithLabelValues(kindClaim).Inc()
		s.Log.Info("deleted the record of an idempotency key that belongs to no job", zap.String("object_key", key))
	}
	return nil
}

// owners reads records, and returns the ids of their jobs by key. It omits records that were deleted meanwhile, or that cannot be
// read.
func (s *Sweep) owners(ctx context.Context, keys []string) (map[string]string, error) {
	var mutex sync.Mutex
	owners := map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, key := range keys {
		group.Go(func() error {
			found, err := claim.Get(ctx, s.Sources, key)
			switch {
			case errors.Is(err, blob.ErrNotFound):
				return nil
			case errors.Is(err, claim.ErrUnreadable):
				s.Log.Warn("cannot read the record of an idempotency key; leaving it", zap.String("object_key", key), zap.Error(err))
				return nil
			case err != nil:
				return err
			}
			mutex.Lock()
			defer mutex.Unlock()
			owners[key] = found.GetCommand().GetJobId()
			return nil
		})
	}
	return owners, group.Wait()
}
