package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/platform/config"
	platform "github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/internal/dispatch"
	"github.com/docmill/docmill/services/status/internal/webhook"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/jobstore/storetest"
	"github.com/docmill/docmill/services/status/sqlite"
)

const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func newStore(t *testing.T) jobstore.Store {
	t.Helper()
	db, err := platform.Open(t.Context(), filepath.Join(t.TempDir(), "docmill.db"), platform.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	store := sqlite.New(db)
	storetest.Run(t, store.Run)
	storetest.WaitReady(t, store)
	return store
}

// start runs a dispatcher on the store until stop is called or the test ends.
func start(t *testing.T, store jobstore.Store, total, perReceiver int) (stop func()) {
	t.Helper()
	sender, err := webhook.NewSender(webhook.Config{
		Secrets: config.NewSecret(secret), Allow: []string{"127.0.0.0/8"}, Timeout: time.Minute, Concurrency: total,
	}, nil)
	require.NoError(t, err)
	t.Cleanup(sender.Close)
	dispatcher := dispatch.New(dispatch.Config{Total: total, PerReceiver: perReceiver, Timeout: time.Minute, Every: 100 * time.Millisecond},
		store, sender, zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)), dispatch.NewMetrics(prometheus.NewRegistry()))
	return storetest.Run(t, dispatcher.Run)
}

// receiver is a server on an address of its own, and thus a receiver of its own.
type receiver struct {
	url string
	ids chan string
	// active and most are how many requests it answers, and has answered, at the same time.
	active, most atomic.Int32
}

func receive(t *testing.T, host string, answer func(w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	r := &receiver{ids: make(chan string, 1000)}
	listener, err := net.Listen("tcp", host+":0")
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		now := r.active.Add(1)
		defer r.active.Add(-1)
		for most := r.most.Load(); now > most && !r.most.CompareAndSwap(most, now); most = r.most.Load() {
		}
		r.ids <- request.Header.Get("Webhook-Id")
		answer(w, request)
	}))
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func accept(http.ResponseWriter, *http.Request) {}

// next returns the id of the next webhook.
func (r *receiver) next(t *testing.T) string {
	t.Helper()
	select {
	case id := <-r.ids:
		return id
	case <-time.After(storetest.Patience):
		require.Fail(t, "no webhook arrives")
		return ""
	}
}

// end ends a job that is reported to a URL, and returns the id of the webhook.
func end(t *testing.T, store jobstore.Store, url string) (id uuid.UUID, webhookID string) {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	apply(t, store, submitted(id, url), failed(id, 0))
	return id, delivery.Key{Job: id}.ID()
}

func submitted(id uuid.UUID, url string) job.Event {
	return job.Submitted{ID: job.ID(id), Submission: job.Submission{
		RequestedAt: time.Now(), ObjectKey: id.String(), Filename: "a.txt", Format: "txt", Size: 1, SHA256: make([]byte, 32), TargetFormat: "pdf",
		Target: []byte{1}, Callback: &job.Callback{URL: url, Events: []string{"job.failed"}},
	}}
}

func failed(id uuid.UUID, generation int32) job.Event {
	e := job.Ended{
		ID: job.ID(id), Generation: generation, Status: job.Failed, Attempt: 1, FinishedAt: time.Now(), Failure: &job.Failure{Code: "c"},
	}
	e.ExpiresAt, e.SourceExpiresAt = time.Now().Add(time.Hour), time.Now().Add(time.Hour)
	return e
}

func apply(t *testing.T, store jobstore.Store, events ...job.Event) {
	t.Helper()
	_, err := store.Apply(t.Context(), events)
	require.NoError(t, err)
}

// settled waits until the first delivery of a job has the state, and returns it.
func settled(t *testing.T, store jobstore.Store, id uuid.UUID, state delivery.State) delivery.Delivery {
	t.Helper()
	var found []delivery.Delivery
	require.Eventually(t, func() bool {
		var err error
		found, err = store.Deliveries(t.Context(), id)
		return err == nil && len(found) > 0 && found[0].State == state && len(found[0].Attempts) > 0
	}, storetest.Patience, time.Millisecond)
	return found[0]
}

func TestDelivers(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	r := receive(t, "127.0.0.1", accept)
	_, before := end(t, store, r.url) // while no dispatcher runs
	start(t, store, 8, 4)
	require.Equal(t, before, r.next(t))
	id, first := end(t, store, r.url+"/hook")
	require.Equal(t, first, r.next(t))
	d := settled(t, store, id, delivery.Delivered)
	require.Len(t, d.Attempts, 1)
	require.Equal(t, http.StatusOK, d.Attempts[0].StatusCode)
	resent, err := store.ResendDeliveries(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1, resent)
	require.Equal(t, first, r.next(t))
}

// TestSlowReceiverDelaysNobody requires that receivers that do not answer, however many webhooks they should get, do not delay
// another one.
func TestSlowReceiverDelaysNobody(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	wait := make(chan struct{})
	hang := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	}
	slow := []*receiver{receive(t, "127.0.0.1", hang), receive(t, "127.0.0.3", hang)}
	for _, r := range slow {
		for range 100 {
			end(t, store, r.url)
		}
	}
	start(t, store, 12, 2)
	for _, r := range slow {
		r.next(t)
		r.next(t)
	}
	fast := receive(t, "127.0.0.2", accept)
	for range 20 {
		_, want := end(t, store, fast.url)
		require.Equal(t, want, fast.next(t))
	}
	for _, r := range slow {
		require.Empty(t, r.ids)
		require.EqualValues(t, 2, r.most.Load())
	}
	close(wait)
	for _, r := range slow {
		for range 98 {
			r.next(t)
		}
	}
}

// TestMadeUpReceiversDelayNobody requires that receivers that do not answer, however many a client makes up, do not delay one that has
// answered promptly before, even if it has rejected a webhook.
func TestMadeUpReceiversDelayNobody(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	const total, madeUp, each = 8, 30, 3
	good := receive(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wrong" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	start(t, store, total, 4)
	id, want := end(t, store, good.url+"/wrong")
	require.Equal(t, want, good.next(t))
	settled(t, store, id, delivery.Pending)

	wait := make(chan struct{})
	silent := receive(t, "0.0.0.0", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	})
	defer close(wait)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(silent.url, "http://"))
	require.NoError(t, err)
	for i := range madeUp {
		for range each {
			end(t, store, fmt.Sprintf("http://127.1.0.%d:%s/", i, port))
		}
	}
	for range total / 2 {
		silent.next(t)
	}
	for range 20 {
		id, want := end(t, store, good.url)
		for got := ""; got != want; got = good.next(t) { // the first one may be sent again
		}
		settled(t, store, id, delivery.Delivered)
	}
	require.Empty(t, silent.ids)
	require.EqualValues(t, total/2, silent.most.Load())
}

// TestManyReceivers requires that all receivers get their turn, also if there are more than a page has.
func TestManyReceivers(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	var arrived sync.Map
	var count atomic.Int32
	server := receive(t, "127.0.0.1", func(_ http.ResponseWriter, r *http.Request) {
		if _, again := arrived.LoadOrStore(r.Header.Get("Webhook-Id"), true); !again {
			count.Add(1)
		}
	})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.url, "http://"))
	require.NoError(t, err)
	// Addresses of the network 127.0.0.0/8, of which only one has a server.
	const receivers = 450
	var others []uuid.UUID
	for i := range receivers {
		id, _ := end(t, store, fmt.Sprintf("http://127.1.%d.%d:%s/", i/250, i%250, port))
		others = append(others, id)
	}
	const webhooks = 10
	for range webhooks {
		end(t, store, server.url)
	}
	start(t, store, 8, 1)
	require.Eventually(t, func() bool { return count.Load() == webhooks }, storetest.Patience, time.Millisecond)
	for _, id := range others {
		settled(t, store, id, delivery.Pending)
	}
}

// TestRetries requires that a failed attempt is repeated under the same id, and that a later report of the job waits for it.
func TestRetries(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	var calls atomic.Int32
	r := receive(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	start(t, store, 8, 4)
	id, first := end(t, store, r.url)
	require.Equal(t, first, r.next(t))
	settled(t, store, id, delivery.Pending)
	apply(t, store, job.Retried{ID: job.ID(id), At: time.Now()})
	apply(t, store, failed(id, 1))
	require.Equal(t, first, r.next(t), "after about 5 s")
	require.Equal(t, delivery.Key{Job: id, Generation: 1}.ID(), r.next(t))
	d := settled(t, store, id, delivery.Delivered)
	require.Len(t, d.Attempts, 2)
	require.Equal(t, []any{500, delivery.Rejected}, []any{d.Attempts[0].StatusCode, d.Attempts[0].Fault})
}

func TestGone(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	r := receive(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	start(t, store, 8, 4)
	id, _ := end(t, store, r.url)
	require.Equal(t, delivery.Gone, settled(t, store, id, delivery.Abandoned).Attempts[0].Fault)
	require.Len(t, r.ids, 1)
}

// TestDrain requires that a process that stops finishes its attempts and begins no others.
func TestDrain(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	finish := make(chan struct{})
	r := receive(t, "127.0.0.1", func(http.ResponseWriter, *http.Request) { <-finish })
	stop := start(t, store, 1, 1)
	id, first := end(t, store, r.url)
	end(t, store, r.url)
	require.Equal(t, first, r.next(t))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	close(finish)
	<-stopped
	settled(t, store, id, delivery.Delivered)
	require.Empty(t, r.ids)
	backlog, err := store.DeliveryBacklog(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, backlog.Pending)
}

// TestAbandonedDrain requires that an attempt that the process has no more time for is made again at once, and does not
// count.
func TestAbandonedDrain(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	r := receive(t, "127.0.0.1", func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() })
	sender, err := webhook.NewSender(webhook.Config{Secrets: config.NewSecret(secret), Allow: []string{"127.0.0.1"}, Timeout: time.Minute}, nil)
	require.NoError(t, err)
	dispatcher := dispatch.New(dispatch.Config{Total: 1, PerReceiver: 1, Timeout: time.Minute, Every: time.Second},
		store, sender, zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)), dispatch.NewMetrics(prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- dispatcher.Run(ctx, func() {}, nil) }()
	id, first := end(t, store, r.url)
	require.Equal(t, first, r.next(t))
	cancel()
	require.NoError(t, <-ended)
	leased, err := store.LeaseDeliveries(t.Context(), "127.0.0.1", 1, time.Minute)
	require.NoError(t, err)
	require.Len(t, leased, 1)
	require.Equal(t, id, leased[0].Job)
	require.Zero(t, leased[0].Failures)
	require.Empty(t, leased[0].Attempts)
}
