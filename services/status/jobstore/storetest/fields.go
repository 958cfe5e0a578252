package storetest

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/job"
)

// testFieldsRoundTrip sets every field of every event by reflection, and requires that every field of a job is set
// and read in at least one state. So a new field cannot be forgotten, neither in a store nor in this test.
func testFieldsRoundTrip(t *suite) {
	store := t.start()
	seen := map[string]bool{}
	for _, status := range []job.Status{job.Queued, job.Running, job.Succeeded, job.Failed, job.Canceled} {
		id := newID(t)
		events := fullEvents(t, id, status)
		apply(t, store, events...)
		want := fold(id, events...)
		require.Equal(t, want, read(t, store, id))
		markSet(reflect.ValueOf(want), "Job", seen)

		// The records of other submissions are stored separately.
		for _, submissionLast := range []bool{false, true} {
			id := newID(t)
			events := fullEvents(t, id, status)
			if submissionLast {
				events = append(events[1:], events[0])
			}
			events = append([]job.Event{of(newID(t), submitted(id))}, events...)
			for _, event := range events {
				apply(t, store, event)
			}
			require.Equal(t, fold(id, events...), read(t, store, id))
		}
	}
	for _, change := range []func(id job.ID) job.Event{
		func(id job.ID) job.Event { return job.SourceRemoved{ID: id} },
		func(id job.ID) job.Event { return job.Retried{ID: id, At: noon} },
		func(id job.ID) job.Event { return job.Removed{ID: id, Reason: job.Expired, At: at(1), Until: at(2)} },
	} {
		id := newID(t)
		events := append(ofFirstGeneration(fullEvents(t, id, job.Failed)), change(job.ID(id)), job.FilesRemoved{ID: job.ID(id)})
		apply(t, store, events...)
		want := fold(id, events...)
		found, err := store.Jobs(t.Context(), []uuid.UUID{id})
		require.NoError(t, err)
		require.Equal(t, []job.Job{want}, found)
		markSet(reflect.ValueOf(want), "Job", seen)
	}
	seen["Job.Record.Withdrawn"] = true // by testWithdrawn: such a job cannot be read
	for _, path := range leaves(reflect.TypeFor[job.Job](), "Job") {
		if !strings.HasPrefix(path, "Job.Others.") { // clients see no job that has them; they were read above
			require.True(t, seen[path], "%s is not set by any event of this test", path)
		}
	}
}

// ofFirstGeneration returns the events as those of a job that can be retried.
func ofFirstGeneration(events []job.Event) []job.Event {
	for i, event := range events {
		switch e := event.(type) {
		case job.AttemptUpdated:
			e.Generation = 0
			events[i] = e
		case job.Ended:
			e.Generation = 0
			events[i] = e
		}
	}
	return events
}

// fullEvents returns events with all fields set that lead to the status.
func fullEvents(t testingT, id uuid.UUID, status job.Status) []job.Event {
	t.Helper()
	var n int
	submission, updated, ended := job.Submitted{}, job.AttemptUpdated{}, job.Ended{}
	for _, event := range []any{&submission, &updated, &ended} {
		fill(t, reflect.ValueOf(event).Elem(), &n)
	}
	submission.ID, updated.ID, ended.ID = job.ID(id), job.ID(id), job.ID(id)
	updated.SubmissionID, ended.SubmissionID = submission.SubmissionID, submission.SubmissionID
	updated.Status, ended.Status = job.Running, status
	switch status {
	case job.Queued: // after a failed attempt
		updated.Status = job.Queued
		return []job.Event{submission, updated}
	case job.Succeeded:
		ended.Failure = nil
	case job.Failed:
		ended.Result, ended.Warnings = nil, nil
	case job.Canceled:
		ended.Result, ended.Warnings, ended.Failure = nil, nil, nil
	default:
		updated.Retry = nil
		return []job.Event{submission, updated}
	}
	return []job.Event{submission, updated, ended}
}

// fill sets every field below v to a nonzero value, which differs from that of every other field if its type allows
// that.
func fill(t testingT, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon.Add(time.Duration(*n)*time.Second + time.Duration(*n)*time.Microsecond)))
		return
	case job.ID: // set by the caller
		return
	case time.Duration:
		v.SetInt(int64(*n) * int64(time.Microsecond)) // the precision of the stores
		return
	case uuid.UUID:
		v.Set(reflect.ValueOf(newID(t)))
		return
	case map[string]any: // numbers are float64 after a round trip through JSON
		v.Set(reflect.ValueOf(map[string]any{"text": "text " + strconv.Itoa(*n), "flag": true, "number": float64(*n)}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(t, field, n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.String:
		v.SetString("text " + strconv.Itoa(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.125)
	default:
		require.Fail(t, "extend this test", "a field has the type %s", v.Type())
	}
}

// isLeaf reports whether values of the type are not looked into.
func isLeaf(t reflect.Type) bool {
	return t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[uuid.UUID]()
}

// leaves returns the paths of all fields below a type.
func leaves(t reflect.Type, path string) []string {
	switch {
	case isLeaf(t):
		return []string{path}
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice:
		return leaves(t.Elem(), path)
	case t.Kind() != reflect.Struct:
		return []string{path}
	}
	var all []string
	for field := range t.Fields() {
		all = append(all, leaves(field.Type, path+"."+field.Name)...)
	}
	return all
}

// markSet marks the paths of the fields below v that are not zero.
func markSet(v reflect.Value, path string, seen map[string]bool) {
	switch {
	case isLeaf(v.Type()):
		seen[path] = seen[path] || !v.IsZero()
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			markSet(v.Elem(), path, seen)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			markSet(v.Index(i), path, seen)
		}
	case v.Kind() == reflect.Struct:
		for field, value := range v.Fields() {
			markSet(value, path+"."+field.Name, seen)
		}
	default:
		seen[path] = seen[path] || !v.IsZero()
	}
}
