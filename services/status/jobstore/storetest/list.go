package storetest

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// listCases are the cases of the reads of several jobs.
func listCases() map[string]func(t *suite) {
	return map[string]func(t *suite){
		"List":             testList,
		"ListHidden":       testListHidden,
		"ListPages":        testListPages,
		"ListSameAsFilter": testListSameAsFilter,
		"Stats":            testStats,
		"Reusable":         testReusable,
	}
}

// newIDAt returns a new id with the time at.
func newIDAt(t testingT, at time.Time) uuid.UUID {
	t.Helper()
	id := newID(t)
	var milliseconds [8]byte
	binary.BigEndian.PutUint64(milliseconds[:], uint64(at.UnixMilli()))
	copy(id[:6], milliseconds[2:])
	return id
}

// tagged is the submission of a job with a tag.
func tagged(id uuid.UUID, tag string) job.Event {
	event := submitted(id).(job.Submitted) //nolint:forcetypeassert // it is one
	event.Submission.Tag = tag
	return event
}

// canceled is the end of a job that was canceled.
func canceled(id uuid.UUID) job.Event {
	return job.Ended{ID: job.ID(id), Status: job.Canceled, FinishedAt: noon}
}

// list lists a selection.
func list(t testingT, store jobstore.Store, selection jobstore.Selection) []job.Job {
	t.Helper()
	jobs, err := store.List(t.Context(), selection)
	require.NoError(t, err)
	return jobs
}

// idsOf returns the ids of the jobs.
func idsOf(jobs []job.Job) []uuid.UUID {
	ids := make([]uuid.UUID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	return ids
}

// newestFirst orders jobs as lists are.
func newestFirst(a, b job.Job) int { return bytes.Compare(b.ID[:], a.ID[:]) }

// manyJobs is more than a case has.
const manyJobs = 1000

// testList checks the order, the limit, the contents and each filter.
func testList(t *suite) {
	store := t.start()
	require.Empty(t, list(t, store, jobstore.Selection{Limit: manyJobs}))
	all := make([]uuid.UUID, 7) // one per second, the newest first
	for i := range all {
		all[len(all)-1-i] = newIDAt(t, at(i))
	}
	queued, running, retrying, success, failure, other, cancel := all[6], all[5], all[4], all[3], all[2], all[1], all[0]
	apply(t, store, submitted(success), succeeded(success, 1, 1), submitted(queued), submitted(running), started(running, 1, 1))
	apply(t, store, submitted(retrying), started(retrying, 1, 1), retried(retrying, 1, 2), submitted(failure), failed(failure, 1, 1))
	apply(t, store, tagged(cancel, ""), canceled(cancel), of(newID(t), tagged(other, "mine too")), of(newID(t), tagged(other, "theirs")))

	found := list(t, store, jobstore.Selection{Limit: manyJobs})
	require.Equal(t, all, idsOf(found), "newest first")
	for _, j := range found {
		want := read(t, store, j.ID)
		want.Report = nil
		require.Equal(t, want, j)
	}
	require.Equal(t, all[:2], idsOf(list(t, store, jobstore.Selection{Limit: 2})))
	require.Equal(t, all[2:4], idsOf(list(t, store, jobstore.Selection{Limit: 2, Before: all[1]})), "nothing is repeated")
	require.Empty(t, list(t, store, jobstore.Selection{Limit: 2, Before: all[6]}))
	for _, c := range []struct {
		filter jobstore.Filter
		want   []uuid.UUID
	}{
		{jobstore.Filter{Statuses: []job.Status{job.Queued}}, []uuid.UUID{other, retrying, queued}},
		{jobstore.Filter{Statuses: []job.Status{job.Running}}, []uuid.UUID{running}},
		{jobstore.Filter{Statuses: []job.Status{job.Succeeded, job.Failed}}, []uuid.UUID{failure, success}},
		{jobstore.Filter{Statuses: []job.Status{job.Canceled}}, []uuid.UUID{cancel}},
		{jobstore.Filter{Statuses: jobstore.Statuses()}, all},
		{jobstore.Filter{Tag: "mine too"}, []uuid.UUID{other}},
		{jobstore.Filter{Tag: "mine"}, []uuid.UUID{failure, success, retrying, running, queued}},
		{jobstore.Filter{Tag: "mine", Statuses: []job.Status{job.Queued}}, []uuid.UUID{retrying, queued}},
		{jobstore.Filter{Tag: "theirs"}, nil},
		{jobstore.Filter{CreatedAfter: at(4)}, []uuid.UUID{cancel, other, failure}},
		{jobstore.Filter{CreatedAfter: at(4).Add(time.Millisecond)}, []uuid.UUID{cancel, other}},
		{jobstore.Filter{CreatedBefore: at(1)}, []uuid.UUID{queued}},
		{jobstore.Filter{CreatedBefore: at(1).Add(time.Millisecond)}, []uuid.UUID{running, queued}},
		{jobstore.Filter{CreatedAfter: at(2), CreatedBefore: at(4)}, []uuid.UUID{success, retrying}},
		{jobstore.Filter{CreatedAfter: at(4), CreatedBefore: at(2)}, nil},
		{jobstore.Filter{CreatedAfter: at(2), Tag: "mine", Statuses: []job.Status{job.Queued}}, []uuid.UUID{retrying}},
		{jobstore.Filter{CreatedAfter: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), CreatedBefore: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, all},
	} {
		found := list(t, store, jobstore.Selection{Filter: c.filter, Limit: manyJobs})
		require.ElementsMatch(t, c.want, idsOf(found), "%+v", c.filter)
		for _, j := range found {
			require.Nil(t, j.Report, "%+v", c.filter)
		}
	}
}

// testListHidden requires that jobs that clients cannot see are not listed, whatever the filter.
func testListHidden(t *suite) {
	store := t.start()
	placeholder, ended, hidden := newID(t), newID(t), newID(t)
	removed := func(id uuid.UUID) job.Event {
		return job.Removed{ID: job.ID(id), Reason: job.Deleted, At: at(5), Until: at(60)}
	}
	apply(t, store, started(placeholder, 1, 1), succeeded(ended, 1, 1), submitted(hidden), withdrawn(hidden), withdrawn(newID(t)))
	hasNone := func() {
		for _, filter := range []jobstore.Filter{
			{}, {Tag: "mine"}, {Statuses: []job.Status{job.Queued}}, {Statuses: []job.Status{job.Running}}, {Statuses: []job.Status{job.Succeeded}},
		} {
			require.Empty(t, list(t, store, jobstore.Selection{Filter: filter, Limit: manyJobs}))
		}
		stats, err := store.Stats(t.Context(), manyJobs)
		require.NoError(t, err)
		require.Empty(t, stats.Waits)
		for status, jobs := range stats.Jobs {
			require.Zero(t, jobs, status)
		}
	}
	hasNone()
	deleted, expired := newID(t), newID(t)
	apply(t, store, submitted(deleted), succeeded(deleted, 1, 1), removed(deleted), submitted(expired), removed(expired))
	hasNone()
	apply(t, store, submitted(placeholder), submitted(ended), started(hidden, 1, 1))
	require.Equal(t, []uuid.UUID{hidden, ended, placeholder}, idsOf(list(t, store, jobstore.Selection{Limit: manyJobs})))
}

// testListPages requires that pages are stable: jobs are inserted, and change, between two pages, and all jobs that existed
// before the first page are listed once.
func testListPages(t *suite) {
	const jobs, size = 23, 4
	store := t.start()
	var events []job.Event
	all := map[uuid.UUID]bool{}
	for i := range jobs {
		id := newIDAt(t, at(10*i))
		all[id] = true
		events = append(events, submitted(id))
	}
	apply(t, store, events...)
	for _, filter := range []jobstore.Filter{{}, {Tag: "mine"}, {CreatedBefore: at(10 * jobs)}} {
		var listed []job.Job
		for selection := (jobstore.Selection{Filter: filter, Limit: size}); ; selection.Before = listed[len(listed)-1].ID {
			page := list(t, store, selection)
			listed = append(listed, page...)
			if len(page) < size {
				break
			}
			last := page[size-1].ID
			apply(t, store, submitted(newIDAt(t, at(1000))), submitted(newIDAt(t, at(1))), started(last, 1, 1), started(page[0].ID, 1, 1))
		}
		require.True(t, slices.IsSortedFunc(listed, newestFirst))
		seen := map[uuid.UUID]int{}
		for _, j := range listed {
			seen[j.ID]++
			require.Equal(t, 1, seen[j.ID], "a job is listed twice")
		}
		for id := range all {
			require.Equal(t, 1, seen[id], "a job is missing")
		}
	}
}

// testListSameAsFilter compares lists of random jobs with a filter in memory.
func testListSameAsFilter(t *suite) {
	store := t.start()
	tags := []string{"", "a", "b"}
	var visible []job.Job
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 5).Draw(r, "jobs") {
			id := newIDAt(r, at(rapid.IntRange(0, 60).Draw(r, "second")))
			events := []job.Event{tagged(id, rapid.SampledFrom(tags).Draw(r, "tag"))}
			removed := job.Event(job.Removed{ID: job.ID(id), Reason: job.Expired, At: at(70), Until: at(80)})
			for range rapid.IntRange(0, 3).Draw(r, "events") {
				events = append(events, rapid.OneOf(update(id), end(id), rapid.Just(withdrawn(id)), rapid.Just(canceled(id)), rapid.Just(removed)).Draw(r, "event"))
			}
			apply(r, store, events...)
			if j := fold(id, events...); j.Visible() && j.Gone == "" {
				visible = append(visible, j)
			}
		}
		slices.SortFunc(visible, newestFirst)
		selection := jobstore.Selection{Limit: rapid.IntRange(1, 10).Draw(r, "limit"), Filter: jobstore.Filter{
			Statuses: rapid.SliceOfNDistinct(rapid.SampledFrom(jobstore.Statuses()), 0, 5, rapid.ID).Draw(r, "statuses"),
			Tag:      rapid.SampledFrom(tags).Draw(r, "wanted tag"),
		}}
		if rapid.Bool().Draw(r, "bounded") {
			selection.CreatedAfter = at(rapid.IntRange(0, 60).Draw(r, "after"))
			selection.CreatedBefore = at(rapid.IntRange(0, 60).Draw(r, "before"))
		}
		if len(visible) > 0 && rapid.Bool().Draw(r, "continued") {
			selection.Before = rapid.SampledFrom(visible).Draw(r, "last").ID
		}
		require.Equal(r, idsOf(filtered(visible, selection)), idsOf(list(r, store, selection)))
	})
}

// filtered returns the jobs of a selection.
func filtered(jobs []job.Job, selection jobstore.Selection) []job.Job {
	var matching []job.Job
	from, before := selection.Range()
	for _, j := range jobs {
		if slices.Contains(selection.Wanted(), j.Status) && (selection.Tag == "" || selection.Tag == j.Submission.Tag) &&
			bytes.Compare(j.ID[:], from[:]) >= 0 && bytes.Compare(j.ID[:], before[:]) < 0 {
			matching = append(matching, j)
		}
	}
	return matching[:min(len(matching), selection.Limit)]
}

func testStats(t *suite) {
	store := t.start()
	stats, err := store.Stats(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, stats.Waits)
	for _, status := range jobstore.Statuses() {
		require.Zero(t, stats.Jobs[status])
	}
	queued, retrying, early, exhaustedJob := newID(t), newID(t), newID(t), newID(t)
	apply(t, store, submitted(queued), submitted(retrying), started(retrying, 1, 1), retried(retrying, 1, 2))
	apply(t, store, submitted(early), started(early, 1, -5)) // by a clock that is behind
	apply(t, store, submitted(exhaustedJob), exhausted(job.New(exhaustedJob)))
	for i := range 3 {
		id := newID(t)
		apply(t, store, submitted(id), succeeded(id, 1, i+2)) // which started a second before
	}
	failing := newID(t)
	apply(t, store, submitted(failing), failed(failing, 2, 61))

	stats, err = store.Stats(t.Context(), 4)
	require.NoError(t, err)
	for status, want := range map[job.Status]int64{job.Queued: 2, job.Running: 1, job.Succeeded: 3, job.Failed: 2, job.Canceled: 0} {
		require.Equal(t, want, stats.Jobs[status], status)
	}
	require.Equal(t, []time.Duration{time.Minute, 3 * time.Second, 2 * time.Second, time.Second}, stats.Waits)
	stats, err = store.Stats(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, []time.Duration{time.Minute, 3 * time.Second, 2 * time.Second, time.Second, 0}, stats.Waits)
}
