package storetest

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// testReusable requires that only the result of the same document, by a wanted build, is reused, and only as long as clients can
// see its job.
func testReusable(t *suite) {
	store := t.start()
	now := time.Now().UTC().Truncate(time.Microsecond)
	digest := func(id uuid.UUID, digest string) job.Event {
		event, _ := retryable(id).(job.Submitted)
		event.Submission.CacheDigest = []byte(digest)
		return event
	}
	by := func(build string, event job.Event, expires time.Time) job.Event {
		end, _ := kept(event, expires).(job.Ended)
		end.Build = []byte(build)
		return end
	}
	find := func(digest string, builds ...string) (job.Job, error) {
		var wanted [][]byte
		for _, build := range builds {
			wanted = append(wanted, []byte(build))
		}
		return store.Reusable(t.Context(), []byte(digest), wanted)
	}
	none := func(digest string, builds ...string) {
		t.Helper()
		_, err := find(digest, builds...)
		require.ErrorIs(t, err, jobstore.ErrNotFound)
	}
	none("a", "x")

	first, last, other, failure, expired, bare := newID(t), newID(t), newID(t), newID(t), newID(t), newID(t)
	apply(t, store, digest(first, "a"), by("x", succeeded(first, 1, 1), now.Add(time.Hour)))
	apply(t, store, digest(last, "a"), by("x", succeeded(last, 1, 1), now.Add(2*time.Hour)))
	apply(t, store, digest(other, "a"), by("y", succeeded(other, 1, 1), now.Add(3*time.Hour)))
	apply(t, store, digest(failure, "b"), by("x", failed(failure, 1, 1), now.Add(time.Hour)))
	apply(t, store, digest(expired, "c"), by("x", succeeded(expired, 1, 1), now.Add(-time.Second)))
	apply(t, store, retryable(bare), by("x", succeeded(bare, 1, 1), now.Add(time.Hour)))
	placeholder := newID(t)
	apply(t, store, by("z", succeeded(placeholder, 1, 1), now.Add(time.Hour)))

	for _, test := range []struct {
		builds []string
		want   uuid.UUID
	}{{[]string{"x"}, last}, {[]string{"y"}, other}, {[]string{"v", "x"}, last}, {[]string{"x", "y"}, other}} {
		found, err := find("a", test.builds...)
		require.NoError(t, err)
		require.Equal(t, read(t, store, test.want), found)
	}
	none("a")
	none("a", "z")
	none("b", "x")
	none("c", "x")
	none("d", "x")
	none("", "x", "")

	apply(t, store, job.Removed{ID: job.ID(last), Reason: job.Deleted, At: now, Until: now.Add(time.Hour)})
	found, err := find("a", "x")
	require.NoError(t, err)
	require.Equal(t, first, found.ID)
	apply(t, store, job.Removed{ID: job.ID(first), Reason: job.Expired, At: now, Until: now.Add(time.Hour)})
	none("a", "x")
}
