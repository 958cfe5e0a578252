package watermark_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/watermark"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
)

func TestMayArrive(t *testing.T) {
	t.Parallel()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	created := time.Unix(id.Time().UnixTime())
	require.WithinDuration(t, time.Now(), created, time.Minute)
	for name, c := range map[string]struct {
		watermark, now time.Time
		want           bool
	}{
		"no watermark":                   {time.Time{}, created, true},
		"an old watermark":               {created.Add(-time.Hour), created, true},
		"the watermark has just passed":  {created.Add(2*time.Minute - time.Millisecond), created, true},
		"the watermark passed long ago":  {created.Add(2 * time.Minute), created, false},
		"a gateway whose clock is ahead": {created.Add(-time.Hour), created.Add(-time.Hour), true},
		"an id that no gateway created":  {time.Time{}, created.Add(-25 * time.Hour), false},
	} {
		require.Equal(t, c.want, watermark.MayArrive(id, c.watermark, c.now), name)
	}
	require.False(t, watermark.MayArrive(uuid.New(), time.Time{}, time.Now()), "not a UUIDv7")
}

func TestOf(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	mark, found := watermark.Of(&conversionv1.StatusMarked{MarkedAt: timestamppb.New(now)})
	require.True(t, found)
	require.Equal(t, now, mark)
	for _, body := range []proto.Message{
		&conversionv1.StatusMarked{}, &conversionv1.ConversionStarted{},
		&conversionv1.StatusMarked{MarkedAt: &timestamppb.Timestamp{Nanos: -1}},
	} {
		_, found = watermark.Of(body)
		require.False(t, found)
	}
}

// clock is a clock that fails at first.
type clock struct{ failures atomic.Int32 }

func (c *clock) Now(context.Context) (time.Time, error) {
	if c.failures.Add(-1) >= 0 {
		return time.Time{}, errors.New("no clock")
	}
	return time.Now(), nil
}

// published collects what is published.
type published struct {
	message.Publisher

	marks chan time.Time
}

func (p published) Publish(_ context.Context, m message.Message) error {
	at, _ := watermark.Of(m.Body)
	p.marks <- at
	return nil
}

func TestMarkerMarksWithTheClockOfTheStore(t *testing.T) {
	t.Parallel()
	var c clock
	c.failures.Store(3)
	p := published{marks: make(chan time.Time, 10_000)}
	began := time.Now()
	storetest.Run(t, (&watermark.Marker{Every: time.Millisecond, Clock: &c, Publisher: p, Log: zap.NewNop()}).Run)
	first := <-p.marks
	require.True(t, first.After(began), "no mark without a clock")
	require.True(t, (<-p.marks).After(first))
}
