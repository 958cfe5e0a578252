package httpapi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/feed"
	"github.com/docmill/docmill/services/status/internal/httpapi"
	"github.com/docmill/docmill/services/status/internal/watch"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

func TestMain(m *testing.M) { testbench.Main(m) }

const jobDeadline, retention = time.Hour, 2 * time.Hour

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bench is a server on a real database, with a maximum number of waiters.
type bench struct {
	url   string
	store *observed
	polls *watch.Waiters
	drain func() error // drains the server and returns when it has stopped
}

// observed counts the reads of jobs that have ended.
type observed struct {
	jobstore.Store

	reads atomic.Int64
}

// Job implements jobstore.Store.
func (o *observed) Job(ctx context.Context, id uuid.UUID) (job.Job, error) {
	defer o.reads.Add(1)
	return o.Store.Job(ctx, id)
}

func setup(t *testing.T, waiters int) bench {
	t.Helper()
	b, changes := bench{polls: atMost(waiters)}, feed.New()
	b.store = &observed{Store: postgrestest.Open(t, postgrestest.Config(testbench.New(t)), b.polls, changes)}
	engine := httpserver.NewEngine("test", zap.NewNop(), prometheus.NewRegistry())
	httpapi.Register(engine, httpapi.Deps{Jobs: b.store, Clock: clock.New(b.store, zap.NewNop()), JobDeadline: jobDeadline, Retention: retention, Waiters: b.polls, Feed: changes})
	b.url, b.drain = serve(t, engine)
	return b
}

// atMost returns waiters that only notifications wake.
func atMost(n int) *watch.Waiters {
	return watch.New(n, time.Hour, prometheus.NewGauge(prometheus.GaugeOpts{}))
}

func serve(t *testing.T, handler http.Handler) (url string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	ready, drain, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	server := httpserver.Component("http", address, handler, zap.NewNop())
	go func() { ended <- server.Run(context.Background(), func() { close(ready) }, drain) }()
	select {
	case <-ready:
	case err := <-ended:
		require.NoError(t, err)
	}
	drained := false
	stop = func() error {
		drained = true
		close(drain)
		return <-ended
	}
	t.Cleanup(func() {
		if !drained {
			_ = stop()
		}
	})
	return "http://" + address, stop
}

type answer struct {
	*http.Response

	body []byte
}

// get requests a path with the headers name, value, ...
func (b bench) get(ctx context.Context, path string, header ...string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response, body}, err
}

func (b bench) mustGet(t *testing.T, path string, header ...string) answer {
	t.Helper()
	got, err := b.get(t.Context(), path, header...)
	require.NoError(t, err)
	return got
}

// held starts a long poll and returns once it waits.
func (b bench) held(t *testing.T, ctx context.Context, path string, header ...string) <-chan answer {
	t.Helper()
	before, reads := b.polls.Count(), b.store.reads.Load()
	answers := make(chan answer, 1)
	go func() {
		defer close(answers)
		if got, err := b.get(ctx, path, header...); err == nil {
			answers <- got
		}
	}()
	// A long poll is compared to the state that it reads first.
	waits := func() bool { return b.polls.Count() == before+1 && b.store.reads.Load() > reads }
	require.Eventually(t, waits, storetest.Patience, time.Millisecond)
	return answers
}

func (b bench) apply(t *testing.T, events ...job.Event) {
	t.Helper()
	_, err := b.store.Apply(t.Context(), events)
	require.NoError(t, err)
}

func (b bench) submit(t *testing.T) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	b.apply(t, submitted(id))
	return id
}

func submitted(id uuid.UUID) job.Event {
	return job.Submitted{ID: job.ID(id), Submission: job.Submission{
		RequestedAt: noon, ObjectKey: id.String(), Filename: "deck.pptx", Format: "pptx", ContentType: "application/x",
		Size: 3, SHA256: bytes.Repeat([]byte{7}, 32), TargetFormat: "pdf", Tag: "mine",
	}}
}

func started(id uuid.UUID) job.Event {
	return job.AttemptUpdated{ID: job.ID(id), Attempt: 1, At: noon.Add(time.Second), Starts: true, Status: job.Running}
}

func progressed(id uuid.UUID, percent int32) job.Event {
	return job.AttemptUpdated{
		ID: job.ID(id), Attempt: 1, At: noon.Add(time.Second + time.Duration(percent)), Status: job.Running,
		Phase: job.Converting, Percent: percent,
	}
}

func succeeded(id uuid.UUID) job.Event {
	return job.Ended{
		ID: job.ID(id), Status: job.Succeeded, Attempt: 1,
		StartedAt: noon.Add(time.Second), FinishedAt: noon.Add(2 * time.Second),
		Result: &job.Result{
			ObjectKey: "results/1.pdf", ContentType: "application/pdf", Size: 9, SHA256: bytes.Repeat([]byte{8}, 32), Pages: 8,
		},
		Warnings: []job.Warning{
			{Code: "font-replaced", Detail: "A → B"}, {Code: "glyphs-missing", Detail: "가"}, {Code: "of-a-newer-converter", Detail: "x"},
		},
		Report: &job.Report{
			Engine: "LibreOffice 7.4.7.2", Seconds: job.Seconds{Queued: new(0.0), Load: new(0.062)},
			Fonts: []job.Font{{Name: "A", ReplacedBy: "B", SameMetrics: true}, {Name: "C", Found: true}}, BlockedLinks: []string{},
			MissingCharacters: "가", MissingCharactersTotal: 1,
		},
	}
}

func failed(id uuid.UUID) job.Event {
	return job.Ended{
		ID: job.ID(id), Status: job.Failed, Attempt: 1, FinishedAt: noon,
		Failure: &job.Failure{Code: "password-required", Detail: "Locked."},
	}
}

func requireProblem(t *testing.T, got answer, status int, code problem.Code) {
	t.Helper()
	require.Equal(t, status, got.StatusCode, "%s", got.body)
	require.Equal(t, problem.ContentType, got.Header.Get("Content-Type"))
	var answer problem.Answer
	require.NoError(t, json.Unmarshal(got.body, &answer))
	require.Equal(t, code, answer.Code)
}

func TestRepresentation(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	id := b.submit(t)
	got := b.mustGet(t, jobapi.Path(id.String()))
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Equal(t, `"1"`, got.Header.Get("ETag"))
	require.Equal(t, "1", got.Header.Get("Retry-After"))
	require.Equal(t, "no-cache", got.Header.Get("Cache-Control"))
	require.Empty(t, got.Header.Get("Preference-Applied"))
	require.JSONEq(t, `{
		"id": "`+id.String()+`", "status": "queued", "created_at": "2026-03-01T12:00:00Z", "expires_at": "2026-03-01T15:00:00Z", "attempt": 0,
		"source": {"filename": "deck.pptx", "content_type": "application/x", "size": 3,
			"sha256": "0707070707070707070707070707070707070707070707070707070707070707"},
		"target": {"format": "pdf", "options": {}}, "tag": "mine", "links": {"self": "/v1/jobs/`+id.String()+`", "events": "/v1/jobs/`+id.String()+`/events"}
	}`, string(got.body))

	b.apply(t, started(id), progressed(id, 44))
	var running jobapi.Job
	require.NoError(t, json.Unmarshal(b.mustGet(t, jobapi.Path(id.String())).body, &running))
	require.Equal(t, &jobapi.Progress{Phase: "converting", Percent: 44}, running.Progress)

	b.apply(t, job.AttemptUpdated{ID: job.ID(id), Attempt: 1, At: noon.Add(time.Hour), Status: job.Queued, Retry: &job.Retry{
		Failure: job.Failure{Code: "store-unavailable", Detail: "It did not answer.", Retryable: true}, NextAttemptAt: noon.Add(61 * time.Minute),
	}})
	var waiting map[string]any
	require.NoError(t, json.Unmarshal(b.mustGet(t, jobapi.Path(id.String())).body, &waiting))
	require.Equal(t, "queued", waiting["status"])
	require.Equal(t, map[string]any{"code": "store-unavailable", "detail": "It did not answer.", "retryable": true}, waiting["last_error"])
	require.Equal(t, "2026-03-01T13:01:00Z", waiting["next_attempt_at"])

	b.apply(t, succeeded(id))
	got = b.mustGet(t, jobapi.Path(id.String()))
	require.Empty(t, got.Header.Get("Retry-After"))
	require.JSONEq(t, `{
		"id": "`+id.String()+`", "status": "succeeded", "attempt": 1,
		"created_at": "2026-03-01T12:00:00Z", "started_at": "2026-03-01T12:00:01Z", "finished_at": "2026-03-01T12:00:02Z",
		"source": {"filename": "deck.pptx", "content_type": "application/x", "size": 3,
			"sha256": "0707070707070707070707070707070707070707070707070707070707070707"},
		"target": {"format": "pdf", "options": {}}, "tag": "mine",
		"result": {"filename": "deck.pdf", "content_type": "application/pdf", "size": 9, "pages": 8,
			"sha256": "0808080808080808080808080808080808080808080808080808080808080808"},
		"warnings": [
			{"code": "font-replaced", "detail": "A → B", "severity": "information"},
			{"code": "glyphs-missing", "detail": "가", "severity": "warning"},
			{"code": "of-a-newer-converter", "detail": "x", "severity": "warning"}
		],
		"report": {
			"engine": "LibreOffice 7.4.7.2", "seconds": {"queued": 0, "load": 0.062},
			"fonts": [{"name": "A", "replaced_by": "B", "same_metrics": true, "found": false}, {"name": "C", "found": true}],
			"blocked_links": [], "blocked_links_total": 0, "macros_blocked": false, "hidden_slides_left_out": 0,
			"missing_characters": "가", "missing_characters_total": 1
		},
		"links": {"self": "/v1/jobs/`+id.String()+`", "events": "/v1/jobs/`+id.String()+`/events", "result": "/v1/jobs/`+id.String()+`/result"}
	}`, string(got.body))
}

// advance moves the watermark relative to the present.
func (b bench) advance(t *testing.T, by time.Duration) {
	t.Helper()
	now, err := b.store.Now(t.Context())
	require.NoError(t, err)
	require.NoError(t, b.store.Advance(t.Context(), now.Add(by)))
}

func newID(t *testing.T) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id
}

// TestNewJobIsNotKnownYet requires that a job that the watermark does not cover is never reported as not found.
func TestNewJobIsNotKnownYet(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	unknown, placeholder, late := newID(t), newID(t), newID(t)
	b.apply(t, started(placeholder))
	for _, move := range []func(){
		func() {}, // an empty database has no watermark
		func() { b.advance(t, -time.Minute) },
		func() { b.advance(t, 0) }, // it is as new as the jobs, whose events another replica may be processing
	} {
		move()
		for _, id := range []string{unknown.String(), placeholder.String()} {
			for _, path := range []string{"/v1/jobs/" + id, "/internal/jobs/" + id + "/result"} {
				got := b.mustGet(t, path)
				requireProblem(t, got, http.StatusServiceUnavailable, problem.StatusUnavailable)
				require.Equal(t, "2", got.Header.Get("Retry-After"))
			}
		}
		requireProblem(t, b.mustGet(t, "/v1/jobs/"+unknown.String(), "Prefer", "wait=1"),
			http.StatusServiceUnavailable, problem.StatusUnavailable)
	}

	held := b.held(t, t.Context(), "/v1/jobs/"+late.String(), "Prefer", "wait=60")
	b.apply(t, submitted(late), succeeded(late))
	require.Equal(t, http.StatusOK, (<-held).StatusCode, "a long poll waits for the job")
}

// TestOldUnknownJobIsNotFound requires that an unknown job that the watermark covers is reported as not found, unless some of
// its events are known: then it exists, and its submission may have been dead-lettered.
func TestOldUnknownJobIsNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	old := time.Now().Add(-10 * time.Minute)
	unknown, placeholder, withdrawn := idAt(t, old), idAt(t, old), idAt(t, old)
	b.apply(t, started(placeholder), submitted(withdrawn), job.Withdrawn{ID: job.ID(withdrawn)})
	b.advance(t, 0)
	for _, path := range []string{"/v1/jobs/%s", "/internal/jobs/%s/result"} {
		for _, id := range []uuid.UUID{unknown, withdrawn} {
			requireProblem(t, b.mustGet(t, fmt.Sprintf(path, id), "Prefer", "wait=60"), http.StatusNotFound, problem.JobNotFound)
		}
		requireProblem(t, b.mustGet(t, fmt.Sprintf(path, placeholder)), http.StatusServiceUnavailable, problem.StatusUnavailable)
	}
	b.apply(t, submitted(placeholder))
	require.Equal(t, http.StatusOK, b.mustGet(t, "/v1/jobs/"+placeholder.String()).StatusCode)
}

// TestJobWithLostSubmissionIsNotFound loses the submissions of two jobs. They are reported as not found after the deadline of
// the sweep and its margin of 20 minutes, whether or not they have ended. A submission that arrives later is still applied.
func TestJobWithLostSubmissionIsNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	age := jobDeadline + 20*time.Minute
	kept := idAt(t, time.Now().Add(-age+10*time.Minute))
	running, ended := idAt(t, time.Now().Add(-age)), idAt(t, time.Now().Add(-age))
	b.apply(t, succeeded(kept), started(running), succeeded(ended))
	paths := []string{"/v1/jobs/%s", "/internal/jobs/%s/result"}
	b.advance(t, -time.Hour)
	for _, path := range paths {
		for _, id := range []uuid.UUID{kept, running, ended} {
			requireProblem(t, b.mustGet(t, fmt.Sprintf(path, id)), http.StatusServiceUnavailable, problem.StatusUnavailable)
		}
	}
	b.advance(t, 0)
	for _, path := range paths {
		requireProblem(t, b.mustGet(t, fmt.Sprintf(path, kept)), http.StatusServiceUnavailable, problem.StatusUnavailable)
		for _, id := range []uuid.UUID{running, ended} {
			requireProblem(t, b.mustGet(t, fmt.Sprintf(path, id), "Prefer", "wait=60"), http.StatusNotFound, problem.JobNotFound)
		}
	}
	b.apply(t, submitted(ended))
	require.Equal(t, http.StatusOK, b.mustGet(t, "/v1/jobs/"+ended.String()).StatusCode)
}

// TestFastClockOfGateway has a gateway whose clock is an hour ahead. Its jobs must never be reported as not found.
func TestFastClockOfGateway(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	b.advance(t, 0)
	ahead := idAt(t, time.Now().Add(time.Hour))
	requireProblem(t, b.mustGet(t, "/v1/jobs/"+ahead.String()), http.StatusServiceUnavailable, problem.StatusUnavailable)
	b.apply(t, submitted(ahead))
	require.Equal(t, http.StatusOK, b.mustGet(t, "/v1/jobs/"+ahead.String()).StatusCode)
}

// idAt returns a UUIDv7 with the given time of creation.
func idAt(t *testing.T, created time.Time) uuid.UUID {
	t.Helper()
	id := newID(t)
	var milliseconds [8]byte
	binary.BigEndian.PutUint64(milliseconds[:], uint64(created.UnixMilli()))
	copy(id[:6], milliseconds[2:])
	return id
}

func TestUnknownJobIsNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	fromTheFuture := "0fffffff-ffff-7000-8000-000000000000"
	for _, id := range []string{uuid.NewString(), "nonsense", "{" + uuid.NewString() + "}", fromTheFuture} {
		internal := "/internal/jobs/" + id
		for _, path := range []string{"/v1/jobs/" + id, internal + "/result", internal + "/recorded"} {
			requireProblem(t, b.mustGet(t, path, "Prefer", "wait=60"), http.StatusNotFound, problem.JobNotFound)
		}
	}
}

func TestPollWithCurrentTagIsNotModified(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	id := b.submit(t)
	for _, known := range []string{`"1"`, `W/"1"`, `"0", "1"`, `*`} {
		got := b.mustGet(t, jobapi.Path(id.String()), "If-None-Match", known)
		require.Equal(t, http.StatusNotModified, got.StatusCode, known)
		require.Empty(t, got.body)
		require.Equal(t, `"1"`, got.Header.Get("ETag"))
		require.Equal(t, "1", got.Header.Get("Retry-After"))
	}
	require.Equal(t, http.StatusOK, b.mustGet(t, jobapi.Path(id.String()), "If-None-Match", `"0"`).StatusCode)
	b.apply(t, succeeded(id))
	require.Equal(t, http.StatusOK, b.mustGet(t, jobapi.Path(id.String()), "If-None-Match", `"1"`).StatusCode)
}

func TestLongPollIsWokenByChange(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id := b.submit(t)
	begin := time.Now()
	plain := b.held(t, t.Context(), jobapi.Path(id.String()), "Prefer", "wait=60")
	known := b.held(t, t.Context(), jobapi.Path(id.String()), "Prefer", "wait=3600", "If-None-Match", `"1"`)
	b.apply(t, started(id))
	for _, answers := range []<-chan answer{plain, known} {
		got := <-answers
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.Equal(t, `"2"`, got.Header.Get("ETag"))
		require.Equal(t, "wait=60", got.Header.Get("Preference-Applied"))
	}
	require.Less(t, time.Since(begin), 30*time.Second, "it did not wait until its time was up")
	require.Zero(t, b.polls.Count())
}

func TestLongPollReturnsAtOnceAfterChange(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id := b.submit(t)
	path := jobapi.Path(id.String())
	require.Equal(t, http.StatusOK, b.mustGet(t, path, "Prefer", "wait=60", "If-None-Match", `"0"`).StatusCode)
	require.Equal(t, http.StatusNotModified, b.mustGet(t, path, "Prefer", "wait=60", "If-None-Match", `*`).StatusCode)
	b.apply(t, succeeded(id))
	got := b.mustGet(t, path, "Prefer", "wait=60")
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Equal(t, "wait=60", got.Header.Get("Preference-Applied"))
	require.Equal(t, http.StatusNotModified, b.mustGet(t, path, "Prefer", "wait=60", "If-None-Match", `"2"`).StatusCode)
}

func TestLongPollTimesOut(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id := b.submit(t)
	path := jobapi.Path(id.String())
	require.Equal(t, http.StatusOK, b.mustGet(t, path, "Prefer", "wait=1").StatusCode)
	require.Equal(t, http.StatusNotModified, b.mustGet(t, path, "Prefer", "wait=1", "If-None-Match", `"1"`).StatusCode)
	for _, ignored := range []string{"wait=abc", "wait=-1", "respond-async"} {
		got := b.mustGet(t, jobapi.Path(id.String()), "Prefer", ignored)
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.Empty(t, got.Header.Get("Preference-Applied"))
	}
}

func TestProgressDoesNotEndLongPollForState(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id := b.submit(t)
	b.apply(t, started(id))
	answers := b.held(t, t.Context(), jobapi.Path(id.String()), "Prefer", "wait=60")
	b.apply(t, progressed(id, 10))
	b.apply(t, progressed(id, 20))
	b.apply(t, failed(id))
	var shown jobapi.Job
	require.NoError(t, json.Unmarshal((<-answers).body, &shown))
	require.Equal(t, jobapi.Failed, shown.Status)
	require.Equal(t, &jobapi.Error{Code: "password-required", Detail: "Locked.", Remedy: problem.Remedy(problem.PasswordRequired)}, shown.Error)
}

func TestClientThatDisconnectsFreesItsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	id := b.submit(t)
	ctx, leave := context.WithCancel(t.Context())
	b.held(t, ctx, jobapi.Path(id.String()), "Prefer", "wait=60")
	got := b.mustGet(t, jobapi.Path(id.String()), "Prefer", "wait=60")
	require.Equal(t, http.StatusOK, got.StatusCode, "too many waiters: answered at once")
	require.Empty(t, got.Header.Get("Preference-Applied"))
	leave()
	require.Eventually(t, func() bool { return b.polls.Count() == 0 }, storetest.Patience, time.Millisecond)
}

func TestDrainEndsLongPolls(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	id := b.submit(t)
	answers := b.held(t, t.Context(), jobapi.Path(id.String()), "Prefer", "wait=60")
	require.NoError(t, b.drain())
	require.Equal(t, http.StatusOK, (<-answers).StatusCode)
}

func TestRecordedWaitsForTheSubmission(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	id := uuid.New()
	path := "/internal/jobs/" + id.String() + "/recorded"
	requireProblem(t, b.mustGet(t, path+"?wait=10ms"), http.StatusNotFound, problem.JobNotFound)
	requireProblem(t, b.mustGet(t, path+"?wait=soon"), http.StatusBadRequest, problem.OptionInvalid)
	answers := b.held(t, t.Context(), path+"?wait=60s")
	requireProblem(t, b.mustGet(t, path+"?wait=60s"), http.StatusNotFound, problem.JobNotFound) // too many waiters
	b.apply(t, started(id))
	b.apply(t, submitted(id))
	got := <-answers
	require.Equal(t, http.StatusOK, got.StatusCode)
	var shown jobapi.Job
	require.NoError(t, json.Unmarshal(got.body, &shown))
	require.Equal(t, id.String(), shown.ID)
	require.Equal(t, `"2"`, got.Header.Get("ETag"))
	require.Equal(t, http.StatusOK, b.mustGet(t, path).StatusCode)
}

func TestHead(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	response, err := http.Head(b.url + jobapi.Path(b.submit(t).String()))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, `"1"`, response.Header.Get("ETag"))
}

func TestResultLocation(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	id := b.submit(t)
	path := "/internal/jobs/" + id.String() + "/result"
	got := b.mustGet(t, path)
	requireProblem(t, got, http.StatusConflict, problem.JobNotFinished)
	require.Equal(t, "1", got.Header.Get("Retry-After"))
	b.apply(t, succeeded(id))
	got = b.mustGet(t, path)
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.JSONEq(t, `{
		"object_key": "results/1.pdf", "filename": "deck.pdf", "content_type": "application/pdf", "size": 9,
		"sha256": "0808080808080808080808080808080808080808080808080808080808080808"
	}`, string(got.body))
	id = b.submit(t)
	b.apply(t, failed(id))
	requireProblem(t, b.mustGet(t, "/internal/jobs/"+id.String()+"/result"), http.StatusConflict, problem.JobFailed)
}

func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	config := postgrestest.Config(testbench.New(t))
	config.URL = "postgres://docmill@127.0.0.1:1/docmill" // no server listens there
	store, err := postgres.Open(config, zap.NewNop())
	require.NoError(t, err)
	storetest.Run(t, store.Run)
	engine := httpserver.NewEngine("test", zap.NewNop(), prometheus.NewRegistry())
	httpapi.Register(engine, httpapi.Deps{Jobs: store, Clock: clock.New(store, zap.NewNop()), JobDeadline: jobDeadline, Retention: retention, Waiters: atMost(1), Feed: feed.New()})
	b := bench{}
	b.url, _ = serve(t, engine)
	id := uuid.NewString()
	for _, path := range []string{"/v1/jobs/" + id, "/internal/jobs/" + id + "/recorded?wait=60s"} {
		got := b.mustGet(t, path, "Prefer", "wait=60")
		requireProblem(t, got, http.StatusServiceUnavailable, problem.StatusUnavailable)
		require.Equal(t, "2", got.Header.Get("Retry-After"))
	}
}
