package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// keyed submits a document as a form with an Idempotency-Key.
func (g *gateway) keyed(t testing.TB, key, filename string, content []byte, options ...string) reply {
	t.Helper()
	body, contentType := formBody(t, filename, bytes.NewReader(content), options...)
	return g.request(t, http.MethodPost, "/v1/jobs", http.Header{"Content-Type": {contentType}, "Idempotency-Key": {key}}, body)
}

func replayed(r reply) bool { return r.Header.Get("Idempotent-Replayed") == "true" }

// records lets the status service know every job.
func (s *standIn) records() { s.recordsAs(jobapi.Queued) }

// recordsAs lets the status service know every job, with this status.
func (s *standIn) recordsAs(status jobapi.Status) {
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		id := strings.Split(r.URL.Path, "/")[3]
		w.Header().Set("ETag", `"1"`)
		writeJSON(w, jobapi.Job{ID: id, Status: status, Links: jobapi.LinksTo(id, status)})
	})
}

// knowsNone lets the status service answer that there is no such job; while it is unsure, the answer is 503.
func (s *standIn) knowsNone(unsure bool) {
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		if unsure && !strings.HasSuffix(r.URL.Path, "/recorded") {
			problem.Write(w, r, problem.New(problem.StatusUnavailable, "The states of new jobs are not up to date yet."))
			return
		}
		problem.Write(w, r, problem.New(problem.JobNotFound, "No job has this id."))
	})
}

// documents and claims list what is in the bucket of sources.
func (g *gateway) documents(t testing.TB) []string {
	t.Helper()
	return slices.DeleteFunc(g.stored(t), func(key string) bool { return strings.HasPrefix(key, claim.Prefix) })
}

func (g *gateway) claims(t testing.TB) []string {
	t.Helper()
	return slices.DeleteFunc(g.stored(t), func(key string) bool { return !claim.IsKey(key) })
}

func TestRepeatedSubmission(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.status.records()
	content := sample(t, deck)
	first := g.keyed(t, `"a key"`, deck, content, "tag", "x", "pages", "1")
	accepted := first.job(t, http.StatusAccepted)
	require.False(t, replayed(first))

	for _, send := range []func() reply{
		func() reply { return g.keyed(t, "a key", deck, content, "tag", "x", "pages", "1") },
		func() reply { return g.keyed(t, `"a key"`, deck, content, "pages", "1", "to", "pdf", "tag", "x") },
		func() reply {
			header := http.Header{"Content-Disposition": {`attachment; filename="` + deck + `"`}, "Idempotency-Key": {"a key"}}
			return g.request(t, http.MethodPost, "/v1/jobs?tag=x&pages=1", header, bytes.NewReader(content))
		},
	} {
		again := send()
		require.Equal(t, accepted.ID, again.job(t, http.StatusAccepted).ID)
		require.True(t, replayed(again))
		require.Equal(t, "/v1/jobs/"+accepted.ID, again.Header.Get("Location"))
		require.NotEmpty(t, again.Header.Get("Retry-After"))
	}
	require.NotEqual(t, accepted.ID, g.keyed(t, "another key", deck, content).job(t, http.StatusAccepted).ID)
	require.Len(t, g.documents(t), 2)
	require.Len(t, g.claims(t), 2)
	require.Equal(t, map[string]float64{"accepted": 2, "repeated": 3}, g.uploads(t))

	g.takeCommands(t, 2)
	g.requireNothingQueued(t)
}

// TestRepeatedSubmissionOfAnEndedJob: there is nothing to wait for.
func TestRepeatedSubmissionOfAnEndedJob(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.status.records()
	accepted := g.keyed(t, "key", deck, sample(t, deck)).job(t, http.StatusAccepted)

	g.status.recordsAs(jobapi.Succeeded)
	again := g.keyed(t, "key", deck, sample(t, deck))
	ended := again.job(t, http.StatusAccepted)
	require.Equal(t, accepted.ID, ended.ID)
	require.Equal(t, jobapi.Succeeded, ended.Status)
	require.True(t, replayed(again))
	require.NotContains(t, again.Header, "Retry-After")

	for _, gone := range []problem.Code{problem.JobDeleted, problem.JobExpired} {
		g.status.handle(func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, problem.New(gone, "It is gone.")) })
		again = g.keyed(t, "key", deck, sample(t, deck))
		again.problem(t, gone)
		require.True(t, replayed(again))
		require.NotContains(t, again.Header, "Retry-After")
	}
}

// TestKeyOfAnotherSubmission: nothing of the first job is overwritten or deleted.
func TestKeyOfAnotherSubmission(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.status.records()
	content := sample(t, "gotenberg__protected_page_1.docx")
	options := []string{"password", "open sesame", "pages", "1"}
	accepted := g.keyed(t, "key", "a.docx", content, options...).job(t, http.StatusAccepted)
	for name, other := range map[string]func() reply{
		"bytes":       func() reply { return g.keyed(t, "key", "a.docx", append(bytes.Clone(content), 0), options...) },
		"name":        func() reply { return g.keyed(t, "key", "b.docx", content, options...) },
		"option":      func() reply { return g.keyed(t, "key", "a.docx", content, "password", "open sesame", "pages", "2") },
		"password":    func() reply { return g.keyed(t, "key", "a.docx", content, "password", "open sesame!", "pages", "1") },
		"no password": func() reply { return g.keyed(t, "key", "a.docx", content, "pages", "1") },
		"a secret more": func() reply {
			return g.keyed(t, "key", "a.docx", content, append(slices.Clone(options), "user_password", "x")...)
		},
		"target": func() reply {
			return g.keyed(t, "key", "a.docx", content, "password", "open sesame", "pages", "1", "to", "png")
		},
		"tag": func() reply {
			return g.keyed(t, "key", "a.docx", content, append(slices.Clone(options), "tag", "x")...)
		},
		"empty": func() reply { return g.keyed(t, "key", "a.docx", nil, options...) },
		"large": func() reply { return g.keyed(t, "key", "a.docx", make([]byte, 2<<20), options...) },
	} {
		answer := other()
		answer.problem(t, problem.IdempotencyKeyReused)
		require.False(t, replayed(answer), name)
	}
	require.Equal(t, accepted.ID, g.keyed(t, "key", "a.docx", content, options...).job(t, http.StatusAccepted).ID)
	require.Len(t, g.claims(t), 1)
	message, delivery := g.queued(t)
	require.Equal(t, []string{message.GetSource().GetObjectKey()}, g.documents(t))
	require.Equal(t, content, g.object(t, message.GetSource().GetObjectKey()))
	require.Equal(t, g.claims(t)[0], message.GetClaimKey())
	require.NotContains(t, string(delivery.Body), "open sesame")
	require.NotContains(t, string(g.object(t, message.GetClaimKey())), "open sesame")
}

func TestInvalidKeys(t *testing.T) {
	t.Parallel()
	g := setup(t)
	for _, key := range []string{`""`, strings.Repeat("k", 256), "ä", `"open`} {
		answer := g.keyed(t, key, deck, sample(t, deck)).problem(t, problem.HeaderInvalid)
		require.Equal(t, "Idempotency-Key", answer.Errors[0].Name)
	}
	g.requireNothingStored(t)
	g.requireNothingQueued(t)
}

// TestConcurrentDuplicates sends them to two gateways, none of which has the secret of the claims yet. Each has stored its
// document before it knows of the others.
func TestConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	gateways := []*gateway{setup(t, func(c *choices) { c.bench = bench }), setup(t, func(c *choices) { c.bench = bench })}
	content := sample(t, deck)
	const duplicates = 24
	var arrived, group sync.WaitGroup
	arrived.Add(8)
	var once [8]sync.Once
	var puts atomic.Int64
	for _, g := range gateways {
		g.status.records()
		g.tap.before(func(r *http.Request) {
			if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/"+claim.Prefix) || strings.HasSuffix(r.URL.Path, claim.SecretKey) {
				return
			}
			if i := puts.Add(1) - 1; i < int64(len(once)) {
				once[i].Do(arrived.Done)
				arrived.Wait()
			}
		})
	}
	jobs := make([]string, duplicates)
	var first atomic.Int64
	for i := range duplicates {
		group.Go(func() {
			answer := gateways[i%2].keyed(t, "key", deck, content)
			if assert.Equal(t, http.StatusAccepted, answer.StatusCode, string(answer.body)) {
				jobs[i] = answer.job(t, http.StatusAccepted).ID
			}
			if !replayed(answer) {
				first.Add(1)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, first.Load())
	message, _ := gateways[0].queued(t)
	for _, id := range jobs {
		require.Equal(t, message.GetJobId(), id)
	}
	require.Equal(t, []string{message.GetSource().GetObjectKey()}, gateways[0].documents(t), "the documents of the duplicates are deleted")
	require.Len(t, gateways[0].claims(t), 1)
}

// TestRejectedSubmissionFreesItsKey: otherwise the key would stand for a job that does not exist.
func TestRejectedSubmissionFreesItsKey(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	g := setup(t, func(c *choices) {
		c.bench, c.brokerURL, c.unconnected, c.publishTimeout = bench, "amqp://127.0.0.1:1/", true, 200*time.Millisecond
	})
	content := sample(t, deck)
	for range 2 {
		g.keyed(t, "key", deck, content).problem(t, problem.QueueUnavailable)
	}
	g.keyed(t, "key", "other.pptx", content).problem(t, problem.QueueUnavailable)
	require.Empty(t, g.documents(t))
	require.Empty(t, g.claims(t))

	healthy := setup(t, func(c *choices) { c.bench = bench })
	healthy.keyed(t, "key", "a.docx", []byte("no document")).problem(t, problem.FileTypeContradicted)
	answer := healthy.keyed(t, "key", deck, content)
	answer.job(t, http.StatusAccepted)
	require.False(t, replayed(answer))
}

// TestRejectedSubmissionLeavesTheClaimOfAnother has a gateway with a wrong clock: another gateway has taken its claim for abandoned.
func TestRejectedSubmissionLeavesTheClaimOfAnother(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.BrokerURL)
	g := setup(t, func(c *choices) {
		c.bench, c.brokerURL, c.publishTimeout = bench, link.Through(bench.BrokerURL), time.Second
	})
	sources := store(t, choices{bench: bench, storeEndpoint: bench.StoreEndpoint}).Bucket(bench.SourcesBucket)
	other := &conversionv1.Claim{Command: &conversionv1.ConvertRequested{JobId: uuid.NewString()}, SettledBy: timestamppb.Now()}
	g.tap.before(func(r *http.Request) {
		_, key, found := strings.Cut(r.URL.Path, "/"+bench.SourcesBucket+"/")
		switch {
		case !found || !claim.IsKey(key):
		case r.Method == http.MethodPut:
			other.Command.ClaimKey = key
			link.Cut()
		case r.Method == http.MethodGet && other.GetCommand().GetClaimKey() == key: // before the claim is deleted
			assert.NoError(t, sources.Delete(r.Context(), key))
			assert.NoError(t, claim.Put(r.Context(), sources, other))
		}
	})
	g.keyed(t, "key", deck, sample(t, deck)).problem(t, problem.QueueUnavailable)
	require.Empty(t, g.documents(t))
	present, err := claim.Get(t.Context(), sources, other.GetCommand().GetClaimKey())
	require.NoError(t, err)
	require.Equal(t, other.GetCommand().GetJobId(), present.GetCommand().GetJobId())
}

// dead leaves what a gateway leaves that dies between the claim and the publication.
func dead(t *testing.T, bench *testbench.Bench, content []byte) {
	t.Helper()
	g := setup(t, func(c *choices) {
		c.bench, c.brokerURL, c.unconnected, c.publishTimeout, c.grace = bench, "amqp://127.0.0.1:1/", true, 200*time.Millisecond, time.Second
	})
	g.tap.before(func(r *http.Request) {
		if r.Method == http.MethodDelete {
			panic(http.ErrAbortHandler)
		}
	})
	g.keyed(t, "key", deck, content).problem(t, problem.QueueUnavailable)
	require.Len(t, g.documents(t), 1)
	require.Len(t, g.claims(t), 1)
}

// TestClaimOfADeadGateway: the key belongs to nothing, but that is known only when the job can no longer appear.
func TestClaimOfADeadGateway(t *testing.T) {
	t.Parallel()
	for _, sourceDeleted := range []bool{false, true} {
		t.Run(fmt.Sprint("source deleted=", sourceDeleted), func(t *testing.T) {
			t.Parallel()
			bench, content := testbench.New(t), sample(t, deck)
			dead(t, bench, content)
			g := setup(t, func(c *choices) { c.bench, c.grace = bench, time.Second })
			abandoned := g.documents(t)[0]
			if sourceDeleted {
				require.NoError(t, g.store.Bucket(bench.SourcesBucket).Delete(t.Context(), abandoned))
			}

			g.status.knowsNone(true)
			answer := g.keyed(t, "key", deck, content)
			unconfirmed := answer.problem(t, problem.QueueUnconfirmed)
			require.Equal(t, "/v1/jobs/"+unconfirmed.Job, answer.Header.Get("Location"))
			require.Equal(t, "5", answer.Header.Get("Retry-After"))
			g.requireNothingQueued(t)

			g.status.knowsNone(false)
			var accepted jobapi.Job
			require.Eventually(t, func() bool {
				if answer = g.keyed(t, "key", deck, content); answer.StatusCode == http.StatusAccepted {
					accepted = answer.job(t, http.StatusAccepted)
				}
				return accepted.ID != ""
			}, patience, 100*time.Millisecond)
			require.False(t, replayed(answer))
			require.NotEqual(t, unconfirmed.Job, accepted.ID)
			message, _ := g.queued(t)
			require.Equal(t, content, g.object(t, message.GetSource().GetObjectKey()))
			require.NotEqual(t, abandoned, message.GetSource().GetObjectKey())

			g.status.records()
			require.Equal(t, accepted.ID, g.keyed(t, "key", deck, content).job(t, http.StatusAccepted).ID)
			require.Len(t, g.claims(t), 1)
		})
	}
}

// TestUnconfirmedSubmissionIsRepeated: the message got through, only its confirmation did not.
func TestUnconfirmedSubmissionIsRepeated(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.BrokerURL)
	g := setup(t, func(c *choices) {
		c.bench, c.brokerURL, c.publishTimeout = bench, link.Through(bench.BrokerURL), 2*time.Second
	})
	link.Delay(time.Hour)
	content := sample(t, deck)
	unconfirmed := g.keyed(t, "key", deck, content).problem(t, problem.QueueUnconfirmed)
	require.Len(t, g.claims(t), 1)
	g.status.records()
	answer := g.keyed(t, "key", deck, content)
	require.Equal(t, unconfirmed.Job, answer.job(t, http.StatusAccepted).ID)
	require.True(t, replayed(answer))
	message, _ := g.queued(t)
	require.Equal(t, unconfirmed.Job, message.GetJobId())
	link.Cut()
}

// TestRepeatDuringOutages: RabbitMQ is not needed; without the status service, nobody knows whether there is a job.
func TestRepeatDuringOutages(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.BrokerURL)
	g := setup(t, func(c *choices) {
		c.bench, c.brokerURL, c.publishTimeout = bench, link.Through(bench.BrokerURL), 2*time.Second
	})
	g.status.records()
	content := sample(t, deck)
	accepted := g.keyed(t, "key", deck, content).job(t, http.StatusAccepted)
	link.Cut()
	require.Eventually(t, func() bool { return g.expectContinue(t).StatusCode == http.StatusServiceUnavailable }, patience, 50*time.Millisecond)
	answer := g.keyed(t, "key", deck, content)
	require.Equal(t, accepted.ID, answer.job(t, http.StatusAccepted).ID)
	require.True(t, replayed(answer))
	g.keyed(t, "key", "b.pptx", content).problem(t, problem.IdempotencyKeyReused)
	g.keyed(t, "another", deck, content).problem(t, problem.QueueUnavailable)

	g.status.handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	g.keyed(t, "key", deck, content).problem(t, problem.StatusUnavailable)
	require.Len(t, g.claims(t), 1)
	g.status.records()
	require.Equal(t, accepted.ID, g.keyed(t, "key", deck, content).job(t, http.StatusAccepted).ID)
}

// TestAnswerToTheClaimIsLost: the store's client tries again, and finds the claim of its own first try.
func TestAnswerToTheClaimIsLost(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.status.records()
	var lost atomic.Int64
	g.tap.losing(func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/"+claim.Prefix) &&
			!strings.HasSuffix(r.URL.Path, claim.SecretKey) && lost.Add(1) == 1
	})
	content := sample(t, deck)
	answer := g.keyed(t, "key", deck, content)
	accepted := answer.job(t, http.StatusAccepted)
	require.False(t, replayed(answer))
	require.GreaterOrEqual(t, lost.Load(), int64(2), "it was tried again")
	message, _ := g.queued(t)
	require.Equal(t, accepted.ID, message.GetJobId())
	require.Equal(t, []string{message.GetSource().GetObjectKey()}, g.documents(t))
}

// TestStoreFailsAtTheClaim: the claim may be there, and may be that of another request.
func TestStoreFailsAtTheClaim(t *testing.T) {
	t.Parallel()
	bench, content := testbench.New(t), sample(t, deck)
	first := setup(t, func(c *choices) { c.bench = bench })
	first.status.records()
	late := setup(t, func(c *choices) { c.bench, c.publishTimeout = bench, time.Second })
	late.status.records()
	var accepted jobapi.Job
	var once sync.Once
	var gone atomic.Bool
	late.tap.before(func(r *http.Request) { // the store fails after another request has made the claim
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/"+claim.Prefix) && !strings.HasSuffix(r.URL.Path, claim.SecretKey) {
			once.Do(func() {
				accepted = first.keyed(t, "key", deck, content).job(t, http.StatusAccepted)
				gone.Store(true)
			})
		} else if gone.Load() && r.Method != http.MethodDelete {
			panic(http.ErrAbortHandler)
		}
	})
	late.keyed(t, "key", deck, content).problem(t, problem.StoreUnavailable)
	late.tap.before(func(*http.Request) {})
	again := late.keyed(t, "key", deck, content)
	require.Equal(t, accepted.ID, again.job(t, http.StatusAccepted).ID, "the claim of the first is still there")
	require.True(t, replayed(again))
	message, _ := first.queued(t)
	require.Contains(t, first.documents(t), message.GetSource().GetObjectKey())
}

// TestClientLeavesBeforeThePublication: neither a claim nor a document remains.
func TestClientLeavesBeforeThePublication(t *testing.T) {
	t.Parallel()
	g := setup(t)
	content := sample(t, deck)
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/v1/jobs", reader)
	require.NoError(t, err)
	r.Header.Set("Content-Disposition", "attachment; filename="+deck)
	r.Header.Set("Idempotency-Key", "key")
	go func() {
		_, _ = writer.Write(content[:len(content)/2])
		_ = writer.CloseWithError(io.ErrUnexpectedEOF)
	}()
	_, err = http.DefaultClient.Do(r)
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(g.documents(t)) == 0 && len(g.claims(t)) == 0 }, patience, 20*time.Millisecond)
	answer := g.keyed(t, "key", deck, content)
	answer.job(t, http.StatusAccepted)
	require.False(t, replayed(answer))
}

// looksUp reports whether a request to the store reads a claim.
func looksUp(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/"+claim.Prefix) && !strings.HasSuffix(r.URL.Path, claim.SecretKey)
}

// TestLookupsAreLimited sends more keys at the same time than are looked up at once.
func TestLookupsAreLimited(t *testing.T) {
	t.Parallel()
	const atOnce = 64
	g := setup(t)
	content := []byte("A letter.")
	g.keyed(t, "the first", "a.txt", content).job(t, http.StatusAccepted)
	var lookups atomic.Int64
	waiting, finish := context.WithCancel(t.Context())
	defer finish()
	g.tap.before(func(r *http.Request) {
		if looksUp(r) {
			lookups.Add(1)
			<-waiting.Done()
		}
	})
	var group sync.WaitGroup
	for i := range atOnce {
		group.Go(func() { g.keyed(t, fmt.Sprint(i), "a.txt", content) })
	}
	require.Eventually(t, func() bool { return lookups.Load() == atOnce }, patience, time.Millisecond)
	busy := g.keyed(t, "one more", "a.txt", content)
	busy.problem(t, problem.Busy)
	require.Equal(t, "2", busy.Header.Get("Retry-After"))
	require.EqualValues(t, atOnce, lookups.Load())
	g.raw(t, "a.txt", content).job(t, http.StatusAccepted)
	finish()
	group.Wait()
	g.keyed(t, "one more", "a.txt", content).job(t, http.StatusAccepted)
}

// TestNoLookupWithoutAnOpenUpload sends a key while the limit of open uploads is reached.
func TestNoLookupWithoutAnOpenUpload(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) { c.settings.MaxOpenUploads, c.settings.MaxUploads = 2, 2 })
	content := []byte("A letter.")
	g.keyed(t, "key", "a.txt", content).job(t, http.StatusAccepted)
	var lookups, stored atomic.Int64
	waiting, finish := context.WithCancel(t.Context())
	defer finish()
	g.tap.before(func(r *http.Request) {
		switch {
		case looksUp(r):
			lookups.Add(1)
		case r.Method == http.MethodPut:
			stored.Add(1)
			<-waiting.Done()
		}
	})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() { g.raw(t, "a.txt", content).job(t, http.StatusAccepted) })
	}
	require.Eventually(t, func() bool { return stored.Load() == 2 }, patience, time.Millisecond)
	g.request(t, http.MethodPost, "/v1/jobs", http.Header{"Idempotency-Key": {"made up"}}, nil).problem(t, problem.Busy)
	require.Zero(t, lookups.Load())
	finish()
	group.Wait()
}
