package orphan_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/orphan"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
)

// counted counts the queries for jobs.
type counted struct {
	jobstore.Store

	queries atomic.Int64
}

// Jobs implements jobstore.Store.
func (c *counted) Jobs(ctx context.Context, ids []uuid.UUID) ([]job.Job, error) {
	c.queries.Add(1)
	return c.Store.Jobs(ctx, ids)
}

// held is a bucket in which reads of claims wait until as many of them have begun as are expected.
type held struct {
	blob.Bucket

	expected int64
	began    atomic.Int64
	release  chan struct{}
	once     sync.Once
}

// Get implements blob.Bucket.
func (h *held) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if claim.IsKey(key) {
		if h.began.Add(1) == h.expected {
			h.once.Do(func() { close(h.release) })
		}
		select {
		case <-h.release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return h.Bucket.Get(ctx, key, offset, length)
}

// TestManyClaims sweeps more claims than are looked up in one query. Several are read at the same time.
func TestManyClaims(t *testing.T) {
	t.Parallel()
	const batch, more, together = 500, 5, 8
	b := setup(t)
	var want []string
	for i := range 3 {
		want = append(want, b.claim(fmt.Sprintf("%04d", i*200), b.submit()))
	}
	group := errgroup.Group{}
	group.SetLimit(16)
	for i := range batch + more {
		if i%200 != 0 {
			id := b.id()
			group.Go(func() error { b.claim(fmt.Sprintf("%04d", i), id); return nil })
		}
	}
	require.NoError(t, group.Wait())
	unreadable := b.put(b.sources, claim.Prefix+"unreadable")
	b.advance()
	jobs, sources := &counted{Store: b.jobs}, &held{Bucket: b.sources, expected: together, release: make(chan struct{})}
	sweep := orphan.New(orphan.Sweep{
		Jobs: jobs, Sources: sources, Results: b.results, JobDeadline: -watermark.SweepMargin, Every: time.Hour, Log: zap.NewNop(),
	}, prometheus.NewRegistry())
	require.NoError(t, sweep.Claims(t.Context(), 0))
	require.ElementsMatch(t, append(want, unreadable), claimsIn(b.keys(b.sources)))
	require.EqualValues(t, 2, jobs.queries.Load())
}

func claimsIn(keys []string) (claims []string) {
	for _, key := range keys {
		if strings.HasPrefix(key, claim.Prefix) {
			claims = append(claims, key)
		}
	}
	return claims
}

// TestSlowClaimsDelayNoFiles sweeps claims that take forever to read. Meanwhile, other orphans are deleted.
func TestSlowClaimsDelayNoFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sources := &held{Bucket: b.sources, expected: 2, release: make(chan struct{})}
	b.claim("0123", b.id())
	file := b.put(b.sources, b.id().String())
	b.advance()
	sweep := orphan.New(orphan.Sweep{
		Jobs: b.jobs, Clock: clock.New(b.jobs, zap.NewNop()), Sources: sources, Results: b.results, JobDeadline: -watermark.SweepMargin,
		Every: 10 * time.Millisecond, Log: zap.NewNop(),
	}, prometheus.NewRegistry())
	storetest.Run(t, sweep.RunClaims)
	require.Eventually(t, func() bool { return sources.began.Load() == 1 }, storetest.Patience, time.Millisecond)
	storetest.Run(t, sweep.Run)
	require.Eventually(t, func() bool {
		_, err := b.sources.Stat(t.Context(), file)
		return err != nil
	}, storetest.Patience, 10*time.Millisecond)
	require.Len(t, claimsIn(b.keys(b.sources)), 1)
}
