// Package watermark determines how far the states of jobs are up to date. A [Marker] publishes marks through the queue of
// the events. The queue is first in, first out: when a mark is taken from it, everything that was published before the mark
// has been taken too. The time of the latest such mark is the watermark, which the job store keeps.
//
// The watermark does not cover events that another replica of the service has taken but not applied yet, nor slow
// publishers. The margins in this package cover both.
package watermark

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Interval is the time between two marks of a replica.
const Interval = 5 * time.Second

// MaxHold is how long a replica holds a batch that it alone cannot apply. Meanwhile other replicas advance the watermark, so
// it must be less than the margins. After it the batch is redelivered, and the replica takes no other before its store works.
const MaxHold = time.Minute

const (
	// submissionMargin covers what lies between the id of a job and the application of its submission: the publication
	// (40 s: gateways wait up to 5 s for a connection and 30 s for the confirmation), a replica that died before it applied it
	// (RabbitMQ notices that after 30 s) or that holds it (MaxHold), and the difference between the clocks of gateways and
	// the database.
	submissionMargin = 2 * time.Minute
	// SweepMargin covers the same for other events. It is larger than submissionMargin because a job that was failed by mistake
	// stays failed.
	SweepMargin = 20 * time.Minute
)

// maxAhead is how far the clock of a gateway may be ahead of that of the status service. S3 stores reject uploads if the clocks
// differ by more than 15 minutes.
const maxAhead = 24 * time.Hour

// MayArrive reports whether the submission of an unknown job may still arrive: the job is so new that the watermark does
// not cover it. The time of a job is in its id, a UUIDv7, which gateways create when they publish the job. Other ids, and
// ids from the distant future, do not belong to jobs.
func MayArrive(id uuid.UUID, watermark, now time.Time) bool {
	return createdBetween(id, watermark.Add(-submissionMargin), now.Add(maxAhead))
}

// PlaceholderMayArrive reports the same for a job of which other events are known. Its submission may have been dead-lettered
// and be published again later, but that is not expected after the sweep has ended all other jobs of its age.
func PlaceholderMayArrive(id uuid.UUID, jobDeadline time.Duration, watermark, now time.Time) bool {
	return createdBetween(id, watermark.Add(-jobDeadline-SweepMargin), now.Add(maxAhead))
}

func createdBetween(id uuid.UUID, after, before time.Time) bool {
	const timed = 7
	if id.Version() != timed {
		return false
	}
	created := time.Unix(id.Time().UnixTime())
	return created.After(after) && created.Before(before)
}

// Of returns the time of a mark, and false for every other message and for a mark without a time.
func Of(body proto.Message) (time.Time, bool) {
	mark, ok := body.(*conversionv1.StatusMarked)
	if !ok || mark.GetMarkedAt().CheckValid() != nil {
		return time.Time{}, false
	}
	return mark.GetMarkedAt().AsTime(), true
}
