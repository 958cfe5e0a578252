package s3

import (
	"context"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/retry"
)

// policy bounds the delays between attempts to create the buckets: a store that comes back is noticed within 15 s.
var policy = retry.Policy{Initial: 500 * time.Millisecond, Max: 15 * time.Second}

// Component creates buckets that do not exist yet and retries until the store answers. It is ready at once, so that a
// service starts while the store is down; Check reports the bucket as missing until then.
func (s *Store) Component(log *zap.Logger, buckets ...string) host.Component {
	return host.Component{Name: "buckets", Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		creating, stop := host.Context(ctx, drain)
		defer stop()
		// It fails only when its context ends.
		_ = retry.Loop(creating, policy, log, "cannot create the buckets; retrying", func(ctx context.Context) error {
			return s.ensure(ctx, buckets)
		})
		<-drain
		return nil
	}}
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
