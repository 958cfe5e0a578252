package status_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// digest and build are as long as a SHA-256.
func digest(of byte) []byte { return bytes.Repeat([]byte{of}, 32) }

// reusable returns a submission whose result may be that of another job.
func reusable(id string, cacheDigest byte) *conversionv1.ConvertRequested {
	command := submitted(id)
	command.CacheDigest, command.SubmissionId = digest(cacheDigest), uuid.NewString()
	return command
}

// succeedBy ends a job with a result by a build.
func (l lifecycle) succeedBy(r replica, command *conversionv1.ConvertRequested, build byte) {
	l.t.Helper()
	id := command.GetJobId()
	l.put(l.results, id+"/1.pdf")
	messages := life(id)
	end, _ := messages[2].(*conversionv1.ConversionSucceeded)
	end.Build, end.SubmissionId = digest(build), command.GetSubmissionId()
	end.Warnings = []*conversionv1.Warning{{Code: "font-replaced", Detail: "d"}}
	end.Report = &conversionv1.Report{Engine: "Office 1"}
	send(l.t, l.publisher, messages...)
	r.ended(l.t, id)
}

// reuse asks for the result of an earlier job.
func (r replica) reuse(t testing.TB, command *conversionv1.ConvertRequested, builds ...byte) answer {
	t.Helper()
	encoded, err := proto.Marshal(command)
	require.NoError(t, err)
	request := jobapi.Reuse{Command: encoded}
	for _, build := range builds {
		request.Builds = append(request.Builds, digest(build))
	}
	body, err := json.Marshal(request)
	require.NoError(t, err)
	return r.post(t, jobapi.ReusePath, body)
}

func (r replica) post(t testing.TB, path string, body []byte) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, bytes.NewReader(body))
	require.NoError(t, err)
	return do(request)
}

// resultOf reads the result of a job.
func (l lifecycle) resultOf(r replica, id string) string {
	l.t.Helper()
	var location jobapi.Location
	require.NoError(l.t, json.Unmarshal(get(l.t, r.url+"/internal/jobs/"+id+"/result").Body, &location))
	require.True(l.t, strings.HasPrefix(location.ObjectKey, id+"/"), "the result is the job's own")
	content, err := l.results.Get(l.t.Context(), location.ObjectKey, 0, -1)
	require.NoError(l.t, err)
	defer content.Close()
	read, err := io.ReadAll(content)
	require.NoError(l.t, err)
	return string(read)
}

// TestResultIsReused: a submission is answered with a copy of an earlier result, which belongs to its own job.
func TestResultIsReused(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	r := start(t, l.Bench, patience).ready(t)
	original := l.submit(r, func(c *conversionv1.ConvertRequested) { c.CacheDigest = digest(1) })
	first := reusable(original, 1)
	first.SubmissionId = ""
	require.Equal(t, http.StatusNoContent, r.reuse(t, reusable(newID(t), 1), 9).StatusCode, "it has not ended")
	l.succeedBy(r, first, 9)

	for name, got := range map[string]answer{
		"another document": r.reuse(t, reusable(newID(t), 2), 9),
		"another build":    r.reuse(t, reusable(newID(t), 1), 8),
		"no build":         r.reuse(t, reusable(newID(t), 1)),
		"not reusable":     r.reuse(t, submitted(newID(t)), 9),
	} {
		require.Equal(t, http.StatusNoContent, got.StatusCode, name)
	}

	command := reusable(newID(t), 1)
	command.Tag, command.Source.Filename = "again", "other name.pptx"
	require.Equal(t, http.StatusCreated, r.reuse(t, command, 8, 9).StatusCode)
	id := command.GetJobId()
	found, known := r.job(t, id)
	require.True(t, known)
	require.Equal(t, jobapi.Succeeded, found.Status)
	require.Zero(t, found.Attempt)
	require.Equal(t, "again", found.Tag)
	require.Equal(t, "other name.pdf", found.Result.Filename)
	require.EqualValues(t, 8, found.Result.Pages)
	require.Len(t, found.Warnings, 1)
	require.Equal(t, "Office 1", found.Report.Engine)
	require.True(t, found.Report.Cached)
	require.NotNil(t, found.ExpiresAt)
	require.Equal(t, "abc", l.resultOf(r, id))

	// The command was published all the same, because the answer was lost.
	send(t, l.publisher, command)
	l.succeedBy(r, command, 9)
	again, _ := r.job(t, id)
	require.Equal(t, found, again)

	// A copy is not copied: results would live for ever. The copy lives on without the original.
	require.Equal(t, http.StatusNoContent, request(t, http.MethodDelete, r.url+jobapi.Path(original)).StatusCode)
	require.Equal(t, http.StatusNoContent, r.reuse(t, reusable(newID(t), 1), 9).StatusCode)
	require.Eventually(t, func() bool { return !l.exists(l.results, original+"/1.pdf") }, patience, poll)
	require.Equal(t, "abc", l.resultOf(r, id))
}

// TestReuseOfAMissingResult: without the file of the earlier job there is nothing to reuse, and the new job is not recorded.
func TestReuseOfAMissingResult(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	r := start(t, l.Bench, patience).ready(t)
	first := reusable(newID(t), 1)
	send(t, l.publisher, first)
	l.succeedBy(r, first, 9)
	require.NoError(t, l.results.Delete(t.Context(), first.GetJobId()+"/1.pdf"))
	command := reusable(newID(t), 1)
	require.Equal(t, http.StatusNoContent, r.reuse(t, command, 9).StatusCode)
	_, known := r.job(t, command.GetJobId())
	require.False(t, known)
}

// TestReuseIsLimited: large results and late requests would cost more than they save, or surprise a client that was told that there is no job.
func TestReuseIsLimited(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	r := start(t, l.Bench, patience).ready(t)
	first := reusable(newID(t), 1)
	send(t, l.publisher, first)
	l.succeedBy(r, first, 9)
	late := reusable(newID(t), 1)
	late.RequestedAt = timestamppb.New(time.Now().Add(-2 * time.Minute))
	require.Equal(t, http.StatusNoContent, r.reuse(t, late, 9).StatusCode)
	_, known := r.job(t, late.GetJobId())
	require.False(t, known)
	require.Equal(t, http.StatusCreated, r.reuse(t, reusable(newID(t), 1), 9).StatusCode)

	execute(t, l.Bench, "UPDATE jobs SET result_size = 20000000")
	require.Equal(t, http.StatusNoContent, r.reuse(t, reusable(newID(t), 1), 9).StatusCode)
}

// TestReuseRespectsRetention: the option expires_in of the new submission shortens the life of the copy.
func TestReuseRespectsRetention(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	r := start(t, l.Bench, patience).ready(t)
	first := reusable(newID(t), 1)
	send(t, l.publisher, first)
	l.succeedBy(r, first, 9)
	command := reusable(newID(t), 1)
	command.Retention = durationpb.New(time.Hour)
	require.Equal(t, http.StatusCreated, r.reuse(t, command, 9).StatusCode)
	found, _ := r.job(t, command.GetJobId())
	require.WithinDuration(t, time.Now().Add(time.Hour), *found.ExpiresAt, time.Minute)
	require.Contains(t, string(get(t, r.admin+"/metrics").Body), `docmill_status_jobs_ended_total{code="ok",outcome="succeeded"} 2`)
}

// TestBadReuse: the gateway of another release may send anything.
func TestBadReuse(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	r := start(t, l.Bench, patience).ready(t)
	requireCode(t, r.post(t, jobapi.ReusePath, []byte("{")), problem.ParameterInvalid)
	requireCode(t, r.post(t, jobapi.ReusePath, []byte(`{"command": "/w=="}`)), problem.ParameterInvalid)
	requireCode(t, r.post(t, jobapi.ReusePath, bytes.Repeat([]byte(" "), 2<<20)), problem.ParameterInvalid)
	invalid := reusable(newID(t), 1)
	invalid.Source.Sha256 = nil
	requireCode(t, r.reuse(t, invalid, 9), problem.ParameterInvalid)
	short := reusable(newID(t), 1)
	short.CacheDigest = []byte{1}
	requireCode(t, r.reuse(t, short, 9), problem.ParameterInvalid)
	for entry, err := range l.results.List(t.Context(), "", "") {
		require.NoError(t, err)
		require.Equal(t, "installation/id", entry.Key, "something was copied")
	}
}
