package s3

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/minio/minio-go/v7"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/host"
)

// maxDelay is the longest wait between two attempts to create the buckets: a store that comes back is noticed within it.
const maxDelay = 15 * time.Second

// Component creates buckets that do not exist yet and retries until the store answers. It is ready at once, so that a
// service starts while the store is down; Check reports the bucket as missing until then.
func (s *Store) Component(log *zap.Logger, buckets ...string) host.Component {
	return host.Component{Name: "buckets", Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		creating, stop := context.WithCancel(ctx)
		defer stop()
		go s.create(creating, log, buckets)
		<-drain
		return nil
	}}
}

// create returns when all buckets exist or ctx is done.
func (s *Store) create(ctx context.Context, log *zap.Logger, buckets []string) {
	delays := backoff.NewExponentialBackOff()
	delays.MaxInterval = maxDelay
	_, _ = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, s.ensure(ctx, buckets) }, // fails only when ctx is done
		backoff.WithBackOff(delays), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, delay time.Duration) {
			log.Warn("cannot create the buckets; retrying", zap.Error(err), zap.Duration("delay", delay))
		}))
}

func (s *Store) ensure(ctx context.Context, buckets []string) error {
	for _, name := range buckets {
		if err := s.ensureBucket(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// ensureBucket creates a bucket that does not exist yet.
func (s *Store) ensureBucket(ctx context.Context, name string) error {
	exists, err := s.client.BucketExists(ctx, name)
	if err != nil {
		return fmt.Errorf("look up bucket %s: %w", name, err)
	}
	if exists {
		return nil
	}
	err = s.client.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: s.region})
	if code := minio.ToErrorResponse(err).Code; code == minio.BucketAlreadyOwnedByYou || code == minio.BucketAlreadyExists {
		return nil // another replica created it first
	}
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", name, err)
	}
	return nil
}
