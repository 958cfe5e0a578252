// Package cancellation defines how a converter learns that a job was canceled: from a marker, a tiny blob beside the documents.
// The status service stores it before it records the cancellation, and then announces the cancellation. A converter that works on
// the job receives the announcement. One that starts later, or that was not connected, finds the marker.
package cancellation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/blob"
)

// prefix begins the keys of all markers. No document has a key with a slash.
const prefix = "canceled/"

// markerKey returns the key of the marker of a generation of a job. Later generations have markers of their own.
func markerKey(jobID string, generation int32) string {
	return fmt.Sprintf("%s%s.%d", prefix, jobID, generation)
}

// JobOf returns the id of the job that a blob marks as canceled. found is false for any other blob, even if its key has the same prefix.
func JobOf(key string) (job uuid.UUID, found bool) {
	rest, _ := strings.CutPrefix(key, prefix)
	id, generation, _ := strings.Cut(rest, ".")
	job, err := uuid.Parse(id)
	number, invalid := strconv.ParseInt(generation, 10, 32)
	return job, err == nil && invalid == nil && key == markerKey(job.String(), int32(number))
}

// Mark stores the marker. It is safe to repeat.
func Mark(ctx context.Context, sources blob.Bucket, jobID string, generation int32) error {
	const content = "canceled\n"
	err := sources.Put(ctx, markerKey(jobID, generation), strings.NewReader(content), int64(len(content)), blob.PutOptions{ContentType: "text/plain"})
	if err != nil {
		return fmt.Errorf("store the marker of the cancellation: %w", err)
	}
	return nil
}

// Marked reports whether there is a marker.
func Marked(ctx context.Context, sources blob.Bucket, jobID string, generation int32) (bool, error) {
	_, err := sources.Stat(ctx, markerKey(jobID, generation))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, blob.ErrNotFound):
		return false, nil
	default:
		return false, fmt.Errorf("look for the marker of a cancellation: %w", err)
	}
}

// Clear deletes the marker of a generation that is about to begin. There is one if the generation has begun and been canceled before,
// and a failover of the database has lost both.
func Clear(ctx context.Context, sources blob.Bucket, jobID string, generation int32) error {
	if err := sources.Delete(ctx, markerKey(jobID, generation)); err != nil {
		return fmt.Errorf("delete the marker of a cancellation: %w", err)
	}
	return nil
}

// Unmark deletes the markers of the generations of a job up to the last one.
func Unmark(ctx context.Context, sources blob.Bucket, jobID string, last int32) error {
	var errs []error
	for generation := range last + 1 {
		errs = append(errs, Clear(ctx, sources, jobID, generation))
	}
	return errors.Join(errs...)
}
