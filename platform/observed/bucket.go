// Package observed measures and traces the requests to a bucket, in the same way for every implementation.
package observed

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/tracing"
)

// Buckets observes the buckets of a service.
type Buckets struct {
	tracer    trace.Tracer
	durations *prometheus.HistogramVec
}

// New registers the metrics.
func New(registry prometheus.Registerer) *Buckets {
	b := &Buckets{
		tracer: otel.Tracer("github.com/docmill/docmill/platform/observed"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: "store", Name: "request_duration_seconds",
			Help: "Duration of requests to the store, retries included, by bucket, operation (put, get, stat, delete, list or delete_unfinished) and outcome: " +
				"ok, not_found, exists, full, canceled or failed. A get ends when its first bytes can be read, a list when its first blob is known.",
			Buckets: metrics.DurationBuckets(),
		}, []string{"bucket", "operation", "outcome"}),
	}
	registry.MustRegister(b.durations)
	return b
}

// Bucket returns a bucket whose requests are observed. name is its label.
func (b *Buckets) Bucket(name string, of blob.Bucket) blob.Bucket {
	for _, operation := range []string{"put", "get"} { // an alert needs the series before its first value
		b.durations.WithLabelValues(name, operation, "ok")
		b.durations.WithLabelValues(name, operation, "failed")
	}
	return &bucket{Bucket: of, name: name, by: b}
}

// bucket observes everything but Check, which is called every second or two.
type bucket struct {
	blob.Bucket

	name string
	by   *Buckets
}

// Put implements blob.Bucket.
func (b *bucket) Put(ctx context.Context, key string, content io.Reader, size int64, options blob.PutOptions) error {
	return b.observe(ctx, "put", key, func(ctx context.Context) error { return b.Bucket.Put(ctx, key, content, size, options) })
}

// Get implements blob.Bucket.
func (b *bucket) Get(ctx context.Context, key string, offset, length int64) (content io.ReadCloser, err error) {
	err = b.observe(ctx, "get", key, func(ctx context.Context) error {
		content, err = b.Bucket.Get(ctx, key, offset, length)
		return err
	})
	return content, err
}

// Stat implements blob.Bucket.
func (b *bucket) Stat(ctx context.Context, key string) (size int64, err error) {
	err = b.observe(ctx, "stat", key, func(ctx context.Context) error {
		size, err = b.Bucket.Stat(ctx, key)
		return err
	})
	return size, err
}

// Copy implements blob.Bucket.
func (b *bucket) Copy(ctx context.Context, key, from string) error {
	return b.observe(ctx, "copy", key, func(ctx context.Context) error { return b.Bucket.Copy(ctx, key, from) })
}

// Delete implements blob.Bucket.
func (b *bucket) Delete(ctx context.Context, key string) error {
	return b.observe(ctx, "delete", key, func(ctx context.Context) error { return b.Bucket.Delete(ctx, key) })
}

// List implements blob.Bucket.
func (b *bucket) List(ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		next, stop := iter.Pull2(b.Bucket.List(ctx, prefix, after))
		defer stop()
		var entry blob.Entry
		more := false
		err := b.observe(ctx, "list", prefix, func(context.Context) (err error) {
			entry, err, more = next()
			return err
		})
		for ; more; entry, err, more = next() {
			if !yield(entry, err) {
				return
			}
		}
	}
}

// DeleteUnfinished implements blob.Bucket.
func (b *bucket) DeleteUnfinished(ctx context.Context, olderThan time.Duration) (deleted int, err error) {
	err = b.observe(ctx, "delete_unfinished", "", func(ctx context.Context) error {
		deleted, err = b.Bucket.DeleteUnfinished(ctx, olderThan)
		return err
	})
	return deleted, err
}

func (b *bucket) observe(ctx context.Context, operation, key string, request func(context.Context) error) error {
	began := time.Now()
	ctx, span := b.by.tracer.Start(ctx, operation+" "+b.name, trace.WithAttributes(
		attribute.String("docmill.bucket", b.name), attribute.String("docmill.object_key", key)))
	err := request(ctx)
	b.by.durations.WithLabelValues(b.name, operation, outcome(err)).Observe(time.Since(began).Seconds())
	tracing.End(span, err)
	return err
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, blob.ErrNotFound):
		return "not_found"
	case errors.Is(err, blob.ErrExists):
		return "exists"
	case errors.Is(err, blob.ErrFull):
		return "full"
	case errors.Is(err, context.Canceled):
		return "canceled"
	default:
		return "failed"
	}
}
