package status_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/s3"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// lifecycle is a bench with files.
type lifecycle struct {
	*testbench.Bench

	t                testing.TB
	publisher        message.Publisher
	sources, results blob.Bucket
}

func newLifecycle(t testing.TB) lifecycle {
	t.Helper()
	bench := testbench.New(t)
	store, err := s3.New(s3.Config{
		Endpoint: bench.StoreEndpoint, Region: bench.StoreRegion, AccessKey: bench.StoreAccessKey, SecretKey: config.NewSecret(bench.StoreSecretKey),
	})
	require.NoError(t, err)
	return lifecycle{bench, t, publisher(t, bench), store.Bucket(bench.SourcesBucket), store.Bucket(bench.ResultsBucket)}
}

// put stores a file.
func (l lifecycle) put(bucket blob.Bucket, key string) {
	l.t.Helper()
	require.NoError(l.t, bucket.Put(l.t.Context(), key, strings.NewReader("abc"), 3, blob.PutOptions{}))
}

// exists reports whether there is a file.
func (l lifecycle) exists(bucket blob.Bucket, key string) bool {
	_, err := bucket.Stat(l.t.Context(), key)
	if err != nil {
		require.ErrorIs(l.t, err, blob.ErrNotFound)
	}
	return err == nil
}

// submit publishes a job with a document, and waits until the replica knows it.
func (l lifecycle) submit(r replica, change func(*conversionv1.ConvertRequested)) string {
	l.t.Helper()
	id := newID(l.t)
	l.put(l.sources, id)
	command := submitted(id)
	if change != nil {
		change(command)
	}
	send(l.t, l.publisher, command)
	require.Eventually(l.t, func() bool { _, found := r.job(l.t, id); return found }, patience, poll)
	return id
}

// succeed ends a job with a result, and waits until the replica knows that.
func (l lifecycle) succeed(r replica, id string) {
	l.t.Helper()
	l.put(l.results, id+"/1.pdf")
	send(l.t, l.publisher, life(id)...)
	r.ended(l.t, id)
}

// listen returns a function that returns the ids of the jobs whose cancellations were announced since its last call. It waits until
// it hears announcements: nothing is kept for those who are not connected.
func (l lifecycle) listen() func() []string {
	l.t.Helper()
	deliveries := messagetest.Receive(l.t, rabbit(l.t, brokerConfig(l.Bench), "test", zap.NewNop(), nil), message.Announcements)
	heard := func() (ids []string) {
		for {
			select {
			case d := <-deliveries:
				body, err := d.Message()
				require.NoError(l.t, err)
				if announcement, ok := body.(*conversionv1.CancelAnnounced); ok {
					ids = append(ids, announcement.GetJobId())
				}
			default:
				return ids
			}
		}
	}
	require.Eventually(l.t, func() bool {
		probe := message.Message{Body: &conversionv1.CancelAnnounced{JobId: "probe"}}
		return l.publisher.Publish(l.t.Context(), probe) == nil && len(heard()) > 0
	}, patience, poll)
	return heard
}

func failure(id string, generation, attempt int32) proto.Message {
	return &conversionv1.ConversionFailed{
		JobId: id, Generation: generation, Attempt: attempt, FinishedAt: timestamppb.Now(), Failure: &conversionv1.Failure{Code: "document-malformed", Detail: "d"},
	}
}

// request sends a request without a body.
func request(t testing.TB, method, url string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	require.NoError(t, err)
	return do(r)
}

func requireJob(t testing.TB, got answer, status int) jobapi.Job {
	t.Helper()
	require.Equal(t, status, got.StatusCode, "%s", got.Body)
	var j jobapi.Job
	require.NoError(t, json.Unmarshal(got.Body, &j))
	return j
}

func requireCode(t testing.TB, got answer, code problem.Code) problem.Answer {
	t.Helper()
	var p problem.Answer
	require.NoError(t, json.Unmarshal(got.Body, &p), "%d: %s", got.StatusCode, got.Body)
	require.Equal(t, code, p.Code)
	require.Equal(t, problem.Describe(code).Status, got.StatusCode)
	return p
}

// TestCancel cancels jobs in each state, twice, through two replicas.
func TestCancel(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	one, other := start(t, l.Bench, time.Minute).ready(t), start(t, l.Bench, time.Minute).ready(t)
	announced := l.listen()

	id := l.submit(one, nil)
	canceled := requireJob(t, request(t, http.MethodPost, one.url+jobapi.Path(id)+"/cancel"), http.StatusOK)
	require.Equal(t, jobapi.Canceled, canceled.Status)
	require.NotNil(t, canceled.ExpiresAt)
	marked, err := cancellation.Marked(t.Context(), l.sources, id, 0)
	require.NoError(t, err)
	require.True(t, marked)
	require.Eventually(t, func() bool { return slices.Contains(announced(), id) }, patience, poll)
	send(t, l.publisher, life(id)...) // a converter was faster, but its events were not
	again := requireJob(t, request(t, http.MethodPost, other.url+jobapi.Path(id)+"/cancel"), http.StatusOK)
	require.Equal(t, canceled, again)

	late := l.submit(one, nil)
	l.succeed(one, late)
	p := requireCode(t, request(t, http.MethodPost, one.url+jobapi.Path(late)+"/cancel"), problem.JobNotCancelable)
	require.Equal(t, "succeeded", p.JobState.(map[string]any)["status"])
	require.Equal(t, "The job has already succeeded.", p.Detail)
	requireCode(t, request(t, http.MethodPost, one.url+jobapi.Path(newID(t))+"/retry"), problem.StatusUnavailable) // perhaps it is new
	requireCode(t, request(t, http.MethodPost, one.url+jobapi.Path("x")+"/cancel"), problem.JobNotFound)

	reported := l.submit(one, nil) // a converter finds a marker of a replica that died
	send(t, l.publisher, &conversionv1.ConversionCanceled{JobId: reported, FinishedAt: timestamppb.Now()})
	require.Equal(t, jobapi.Canceled, one.ended(t, reported).Status)
}

// TestRetry retries a failed job through two replicas at once. One command is published, and late events of the first generation have
// no effect.
func TestRetry(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	replicas := []replica{start(t, l.Bench, time.Minute).ready(t), start(t, l.Bench, time.Minute).ready(t)}
	id := l.submit(replicas[0], func(c *conversionv1.ConvertRequested) {
		c.Tag, c.Target.Options, c.Target.SealedSecrets = "mine", &conversionv1.Options{Pages: new("1-2")}, []byte("sealed")
	})
	path := jobapi.Path(id)
	requireCode(t, request(t, http.MethodPost, replicas[0].url+path+"/retry"), problem.JobNotFinished)
	first := messagetest.Take(t, rabbit(t, brokerConfig(l.Bench), "test", zap.NewNop(), nil), message.Commands)
	send(t, l.publisher, failure(id, 0, 1))
	require.Equal(t, jobapi.Failed, replicas[0].ended(t, id).Status)

	var requests sync.WaitGroup
	for i := range 8 {
		requests.Go(func() {
			requireJob(t, request(t, http.MethodPost, replicas[i%2].url+path+"/retry"), http.StatusAccepted)
		})
	}
	requests.Wait()
	retried, found := replicas[0].job(t, id)
	require.True(t, found)
	require.Equal(t, jobapi.Queued, retried.Status)
	require.EqualValues(t, 1, retried.Generation)
	require.Nil(t, retried.Error)

	broker := rabbit(t, brokerConfig(l.Bench), "test", zap.NewNop(), nil)
	d := messagetest.Take(t, broker, message.Returned)
	require.Equal(t, 2, d.Attempt)
	body, err := d.Message()
	require.NoError(t, err)
	command := body.(*conversionv1.ConvertRequested)
	firstBody, err := first.Message()
	require.NoError(t, err)
	original := firstBody.(*conversionv1.ConvertRequested)
	require.True(t, proto.Equal(original.GetTarget(), command.GetTarget()))
	require.True(t, proto.Equal(original.GetSource(), command.GetSource()))
	require.EqualValues(t, 1, command.GetGeneration())
	require.WithinDuration(t, time.Now().Add(24*time.Hour), command.GetExpiresAt().AsTime(), time.Minute)
	depth, err := l.publisher.Depth(t.Context(), message.Returned)
	require.NoError(t, err)
	require.Zero(t, depth, "one command for eight requests")

	send(t, l.publisher, failure(id, 0, 1), failure(id, 0, 9))
	send(t, l.publisher, life(id)[2]) // of the first generation
	end := life(id)[2].(*conversionv1.ConversionSucceeded)
	end.Generation, end.Attempt = 1, 2
	send(t, l.publisher, end)
	succeeded := replicas[1].ended(t, id)
	require.Equal(t, jobapi.Succeeded, succeeded.Status)
	require.EqualValues(t, 2, succeeded.Attempt)
	p := requireCode(t, request(t, http.MethodPost, replicas[0].url+path+"/retry"), problem.JobNotRetryable)
	require.NotNil(t, p.JobState)
}

// TestRetryAfterLostRetry retries a job whose first retry was canceled, both of which a failover of the database has lost.
func TestRetryAfterLostRetry(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	link := testbench.Proxy(t, l.StoreEndpoint)
	r := start(t, l.Bench, time.Minute, "--store-endpoint="+link.Through(l.StoreEndpoint)).ready(t)
	id := l.submit(r, nil)
	send(t, l.publisher, failure(id, 0, 1))
	r.ended(t, id)
	require.NoError(t, cancellation.Mark(t.Context(), l.sources, id, 1))
	link.Cut()
	requireCode(t, request(t, http.MethodPost, r.url+jobapi.Path(id)+"/retry"), problem.StoreUnavailable)
	link.Restore()
	require.Eventually(t, func() bool {
		return request(t, http.MethodPost, r.url+jobapi.Path(id)+"/retry").StatusCode == http.StatusAccepted
	}, patience, poll)
	marked, err := cancellation.Marked(t.Context(), l.sources, id, 1)
	require.NoError(t, err)
	require.False(t, marked, "a converter would cancel the job")
}

// TestRetryOfAnEarlierRecord retries a job that an earlier release has recorded, without what a retry needs.
func TestRetryOfAnEarlierRecord(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	r := start(t, l.Bench, time.Minute).ready(t)
	id := l.submit(r, nil)
	send(t, l.publisher, failure(id, 0, 1))
	r.ended(t, id)
	_, err := postgrestest.Connect(t, postgrestest.Config(l.Bench)).Exec(t.Context(), "UPDATE jobs SET target = NULL")
	require.NoError(t, err)
	p := requireCode(t, request(t, http.MethodPost, r.url+jobapi.Path(id)+"/retry"), problem.JobNotRetryable)
	require.Contains(t, p.Detail, "earlier version")
}

// TestUnpublishedRetryIsPublishedLater retries a job while the broker is away.
func TestUnpublishedRetryIsPublishedLater(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	link := testbench.Proxy(t, l.BrokerURL)
	r := start(t, l.Bench, time.Minute, "--broker-url="+link.Through(l.BrokerURL)).ready(t)
	id := l.submit(r, nil)
	send(t, l.publisher, failure(id, 0, 1))
	r.ended(t, id)
	link.Cut()
	requireJob(t, request(t, http.MethodPost, r.url+jobapi.Path(id)+"/retry"), http.StatusAccepted)
	link.Restore()
	broker := rabbit(t, brokerConfig(l.Bench), "test", zap.NewNop(), nil)
	require.Equal(t, id, messagetest.Take(t, broker, message.Returned).JobID)
}

// TestDelete deletes jobs in each state. Their files are deleted, and no late event revives them.
func TestDelete(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	r := start(t, l.Bench, time.Minute).ready(t)
	queued, ended := l.submit(r, nil), l.submit(r, nil)
	l.succeed(r, ended)
	for _, id := range []string{queued, ended} {
		path := r.url + jobapi.Path(id)
		require.Equal(t, http.StatusNoContent, request(t, http.MethodDelete, path).StatusCode)
		requireCode(t, request(t, http.MethodDelete, path), problem.JobDeleted)
		requireCode(t, get(t, path), problem.JobDeleted)
		requireCode(t, get(t, r.url+"/internal/jobs/"+id+"/result"), problem.JobDeleted)
		requireCode(t, get(t, r.url+"/internal/jobs/"+id+"/recorded"), problem.JobDeleted)
		requireCode(t, request(t, http.MethodPost, path+"/cancel"), problem.JobDeleted)
		requireCode(t, request(t, http.MethodPost, path+"/retry"), problem.JobDeleted)
		require.Eventually(t, func() bool { return !l.exists(l.sources, id) && !l.exists(l.results, id+"/1.pdf") }, patience, poll)
		send(t, l.publisher, submitted(id))
		send(t, l.publisher, life(id)...)
	}
	marked, err := cancellation.Marked(t.Context(), l.sources, queued, 0)
	require.NoError(t, err)
	require.True(t, marked, "its command may still be in the queue")
	fresh := l.submit(r, nil) // all events before have been applied
	for _, id := range []string{queued, ended} {
		requireCode(t, get(t, r.url+jobapi.Path(id)), problem.JobDeleted)
	}
	waiting := ask(t, r.url+jobapi.Path(fresh), "Prefer", "wait=60")
	require.Equal(t, http.StatusNoContent, request(t, http.MethodDelete, r.url+jobapi.Path(fresh)).StatusCode)
	requireCode(t, <-waiting, problem.JobDeleted)
}

// TestExpiry lets the files of jobs expire: the document first, then everything.
func TestExpiry(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	r := start(t, l.Bench, time.Minute, "--source-retention=0s").ready(t)
	kept := l.submit(r, nil)
	l.succeed(r, kept)
	require.Eventually(t, func() bool { return !l.exists(l.sources, kept) }, patience, poll)
	j, found := r.job(t, kept)
	require.True(t, found)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *j.ExpiresAt, time.Minute)
	require.True(t, l.exists(l.results, kept+"/1.pdf"))

	failed := l.submit(r, nil)
	send(t, l.publisher, failure(failed, 0, 1))
	r.ended(t, failed)
	requireCode(t, request(t, http.MethodPost, r.url+jobapi.Path(failed)+"/retry"), problem.JobNotRetryable)

	short := l.submit(r, func(c *conversionv1.ConvertRequested) { c.Retention = durationpb.New(time.Second) })
	l.put(l.results, short+"/1.pdf")
	send(t, l.publisher, life(short)...)
	require.Eventually(t, func() bool { return get(t, r.url+jobapi.Path(short)).StatusCode == http.StatusGone }, patience, poll)
	requireCode(t, get(t, r.url+jobapi.Path(short)), problem.JobExpired)
	require.Eventually(t, func() bool { return !l.exists(l.sources, short) && !l.exists(l.results, short+"/1.pdf") }, patience, poll)
	requireCode(t, get(t, r.url+jobapi.Path(short)), problem.JobExpired)
}

// TestPurgeWaitsForTheStore deletes a job while the store is away. Its files are deleted when the store is back.
func TestPurgeWaitsForTheStore(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	link := testbench.Proxy(t, l.StoreEndpoint)
	r := start(t, l.Bench, time.Minute, "--store-endpoint="+link.Through(l.StoreEndpoint)).ready(t)
	id := l.submit(r, nil)
	l.succeed(r, id)
	queued := l.submit(r, nil)
	link.Cut()
	require.Equal(t, http.StatusNoContent, request(t, http.MethodDelete, r.url+jobapi.Path(id)).StatusCode)
	requireCode(t, request(t, http.MethodPost, r.url+jobapi.Path(queued)+"/cancel"), problem.StoreUnavailable)
	requireCode(t, get(t, r.url+jobapi.Path(id)), problem.JobDeleted)
	link.Restore()
	require.Eventually(t, func() bool { return !l.exists(l.sources, id) }, patience, poll)
}

// TestDeleteForgetsWebhooks deletes a job with a webhook that was sent. Nothing of it is kept.
func TestDeleteForgetsWebhooks(t *testing.T) {
	t.Parallel()
	l := newLifecycle(t)
	s := parse(t, l.Bench)
	jobs, err := postgres.Open(s.Database, zap.NewNop())
	require.NoError(t, err)
	r := startOn(t, jobs, s, time.Minute, zap.NewNop()).ready(t)
	calling := func(c *conversionv1.ConvertRequested) {
		c.Callback = &conversionv1.Callback{Url: "https://hooks.example/", Events: []string{"job.succeeded"}}
	}
	deleted, kept := l.submit(r, calling), l.submit(r, calling)
	l.succeed(r, deleted)
	l.succeed(r, kept)
	leased, err := jobs.LeaseDeliveries(t.Context(), "hooks.example", 2, time.Hour)
	require.NoError(t, err)
	require.Len(t, leased, 2)
	for _, one := range leased {
		require.NoError(t, jobs.SettleDelivery(t.Context(), one.After(delivery.Attempt{StatusCode: http.StatusOK})))
	}
	require.Equal(t, http.StatusNoContent, request(t, http.MethodDelete, r.url+jobapi.Path(deleted)).StatusCode)
	webhooks := func(id string) int {
		found, err := jobs.Deliveries(t.Context(), uuid.MustParse(id))
		require.NoError(t, err)
		return len(found)
	}
	require.Eventually(t, func() bool { return webhooks(deleted) == 0 }, patience, poll)
	require.Equal(t, 1, webhooks(kept))
}
