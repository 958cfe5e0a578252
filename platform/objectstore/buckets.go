package objectstore

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/host"
)

// longestPause is the most that Component waits between two tries: a store that comes back is noticed within it.
const longestPause = 15 * time.Second

// Component creates buckets that do not exist yet, and tries until the store answers. It is ready at once: a service starts
// when the store is down, and Check says that it is not ready.
func (s *Store) Component(log *zap.Logger, buckets ...string) host.Component {
	return host.Component{Name: "buckets", Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		trying, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			pauses := backoff.NewExponentialBackOff()
			pauses.MaxInterval = longestPause
			_, _ = backoff.Retry(trying, func() (struct{}, error) { return struct{}{}, s.ensure(trying, buckets) }, // it ends with trying
				backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0),
				backoff.WithNotify(func(err error, pause time.Duration) {
					log.Warn("the store's buckets are not there yet", zap.Error(err), zap.Duration("next_try_in", pause))
				}))
		}()
		<-drain
		return nil
	}}
}

func (s *Store) ensure(ctx context.Context, buckets []string) error {
	for _, bucket := range buckets {
		if err := s.EnsureBucket(ctx, bucket); err != nil {
			return err
		}
	}
	return nil
}
