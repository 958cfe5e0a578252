package events_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	platform "github.com/docmill/docmill/platform/sqlite"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/ending"
	"github.com/docmill/docmill/services/status/internal/events"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/sqlite"
)

// TestDroppedResultsAreReported requires that the results of ends that had no effect are known, and no others.
func TestDroppedResultsAreReported(t *testing.T) {
	t.Parallel()
	db, err := platform.Open(t.Context(), filepath.Join(t.TempDir(), "docmill.db"), platform.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	store := sqlite.New(db)
	storetest.Run(t, store.Run)
	registry := prometheus.NewRegistry()
	consumer := events.New(store, clock.New(store, zap.NewNop()), job.Retention{}, 10, ending.NewMetrics(registry), zap.NewNop(), registry)
	var dropped []string
	consumer.Dropped = func(end job.Ended) { dropped = append(dropped, end.Result.ObjectKey) }

	id := uuid.NewString()
	success := func(attempt int32, key string) proto.Message {
		return &conversionv1.ConversionSucceeded{
			JobId: id, Attempt: attempt, FinishedAt: timestamppb.Now(),
			Result: &conversionv1.Result{ObjectKey: key, ContentType: "application/pdf", Size: 1, Sha256: bytes.Repeat([]byte{1}, 32)},
		}
	}
	var batch []*message.Delivery
	for _, body := range []proto.Message{
		&conversionv1.ConvertRequested{
			JobId: id, RequestedAt: timestamppb.Now(), Target: &conversionv1.Target{Format: "pdf"},
			Source: &conversionv1.Source{ObjectKey: id, Filename: "a.txt", Format: "txt", Sha256: bytes.Repeat([]byte{1}, 32)},
		},
		success(1, "winner"), success(2, "late"), success(1, "winner"),
		&conversionv1.ConversionFailed{JobId: id, Attempt: 3, FinishedAt: timestamppb.Now(), Failure: &conversionv1.Failure{Code: "internal"}},
	} {
		envelope, err := message.Encode(t.Context(), message.Message{Body: body, JobID: id}, "test")
		require.NoError(t, err)
		batch = append(batch, &message.Delivery{Envelope: envelope})
	}
	require.NoError(t, consumer.Apply(t.Context(), batch))
	require.Equal(t, []string{"late", "winner"}, dropped, "a duplicate cannot be told apart here")
}
