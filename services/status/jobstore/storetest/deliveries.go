package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// deliveryCases are the cases about deliveries.
func deliveryCases() map[string]func(t *suite) {
	return map[string]func(t *suite){
		"Deliveries":          testDeliveries,
		"DeliveriesOfExpire":  testDeliveriesOfExpire,
		"DeliveryLeases":      testDeliveryLeases,
		"DeliverySettlement":  testDeliverySettlement,
		"DeliveryOrder":       testDeliveryOrder,
		"DeliveryReceivers":   testDeliveryReceivers,
		"DeliveryResend":      testDeliveryResend,
		"ForgetDeliveries":    testForgetDeliveries,
		"DeleteDeliveries":    testDeleteDeliveries,
		"DeliveryBacklog":     testDeliveryBacklog,
		"DeliveryConcurrency": testDeliveryConcurrency,
	}
}

const (
	receiver = "example.com"
	hook     = "https://Hooks.Example.com:8443/a?b=c"
)

// calling returns the submission of a job whose ends are to be reported.
func calling(id uuid.UUID, url string, events ...string) job.Event {
	submission, _ := submitted(id).(job.Submitted)
	submission.Submission.Callback = &job.Callback{URL: url, Events: events}
	return submission
}

// ended applies the events of a job that is reported to the URL.
func ended(t testingT, store jobstore.Store, url string) uuid.UUID {
	t.Helper()
	id := newID(t)
	apply(t, store, calling(id, url, "job.succeeded"), succeeded(id, 1, 1))
	return id
}

func lease(t testingT, store jobstore.Store, receiver string, limit int, duration time.Duration) []delivery.Leased {
	t.Helper()
	leased, err := store.LeaseDeliveries(t.Context(), receiver, limit, duration)
	require.NoError(t, err)
	return leased
}

// leaseOne leases a delivery that must be the only one that is due.
func leaseOne(t testingT, store jobstore.Store, duration time.Duration) delivery.Leased {
	t.Helper()
	leased := lease(t, store, receiver, 100, duration)
	require.Len(t, leased, 1)
	return leased[0]
}

func settle(t testingT, store jobstore.Store, settlement delivery.Settlement) {
	t.Helper()
	require.NoError(t, store.SettleDelivery(t.Context(), settlement))
}

func deliveries(t testingT, store jobstore.Store, id uuid.UUID) []delivery.Delivery {
	t.Helper()
	found, err := store.Deliveries(t.Context(), id)
	require.NoError(t, err)
	return found
}

var (
	accepted = delivery.Attempt{StartedAt: noon, Duration: 12345 * time.Microsecond, StatusCode: 204}
	rejected = delivery.Attempt{StartedAt: noon, Duration: time.Second, StatusCode: 500, Fault: delivery.Rejected}
)

// testDeliveries requires that each end that is to be reported enqueues one delivery, in whatever order and however often
// the events arrive.
func testDeliveries(t *suite) {
	store := t.start()
	select {
	case <-store.Enqueued():
		require.Fail(t, "nothing was enqueued")
	default:
	}
	id := ended(t, store, hook)
	select {
	case <-store.Enqueued():
	case <-time.After(Patience):
		require.Fail(t, "the delivery is not reported")
	}
	apply(t, store, succeeded(id, 1, 1), failed(id, 2, 2), submitted(id))
	late, failing, separately := newID(t), newID(t), newID(t)
	apply(t, store, succeeded(late, 1, 1), calling(late, hook, "job.succeeded", "job.failed"))
	apply(t, store, calling(separately, hook, "job.failed"))
	apply(t, store, started(separately, 1, 1))
	apply(t, store, failed(separately, 1, 2))
	apply(t, store, calling(failing, hook, "job.failed"), started(failing, 1, 1), failed(failing, 1, 2))
	for _, reported := range []uuid.UUID{id, late, failing, separately} {
		found := deliveries(t, store, reported)
		require.Len(t, found, 1)
		require.Equal(t, delivery.Key{Job: reported}, found[0].Key)
		require.Equal(t, []any{delivery.Pending, hook, receiver}, []any{found[0].State, found[0].URL, found[0].Receiver})
		require.Empty(t, found[0].Attempts)
		require.WithinDuration(t, time.Now(), found[0].EnqueuedAt, Patience)
	}
	unwanted, silent, queued, hidden := newID(t), newID(t), newID(t), newID(t)
	apply(t, store, calling(unwanted, hook, "job.failed"), succeeded(unwanted, 1, 1))
	apply(t, store, submitted(silent), succeeded(silent, 1, 1))
	apply(t, store, calling(queued, hook, "job.succeeded"), started(queued, 1, 1))
	apply(t, store, succeeded(hidden, 1, 1))
	for _, none := range []uuid.UUID{unwanted, silent, queued, hidden, newID(t)} {
		require.Empty(t, deliveries(t, store, none))
	}
	leased := lease(t, store, receiver, 100, time.Hour)
	require.Len(t, leased, 4)
	for _, l := range leased {
		requirePayload(t, l, read(t, store, l.Job).Status)
	}
}

func requirePayload(t testingT, l delivery.Leased, status job.Status) {
	t.Helper()
	var body struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      struct {
			ID     uuid.UUID  `json:"id"`
			Status job.Status `json:"status"`
		} `json:"data"`
	}
	require.NoError(t, json.Unmarshal(l.Payload, &body))
	require.Equal(t, "job."+string(status), body.Type)
	require.Equal(t, body.Type, l.Event)
	require.False(t, body.Timestamp.IsZero())
	require.Equal(t, l.Job, body.Data.ID)
	require.Equal(t, status, body.Data.Status)
}

func testDeliveriesOfExpire(t *suite) {
	store := t.start()
	id := newID(t)
	apply(t, store, calling(id, hook, "job.failed"))
	t.database.Backdate(t, 2*time.Hour, id)
	advance(t, store)
	_, err := store.Expire(t.Context(), time.Hour, 100, exhausted)
	require.NoError(t, err)
	requirePayload(t, leaseOne(t, store, time.Hour), job.Failed)
	select {
	case <-store.Enqueued():
	case <-time.After(Patience):
		require.Fail(t, "the delivery is not reported")
	}
}

// testDeliveryLeases requires that a delivery is leased by one at a time, and again when the lease has ended, also by another
// process.
func testDeliveryLeases(t *suite) {
	store, stop := t.startStopping()
	first := ended(t, store, hook)
	second := ended(t, store, hook)
	require.Empty(t, lease(t, store, "other.example", 100, time.Hour))
	leased := lease(t, store, receiver, 1, time.Hour)
	require.Len(t, leased, 1)
	require.Equal(t, first, leased[0].Job, "the one that is due for the longest time")
	require.Zero(t, leased[0].Failures)
	require.Less(t, leased[0].Age, Patience)
	short := leaseOne(t, store, time.Millisecond)
	require.Equal(t, second, short.Job)
	stop()
	store = t.start() // the process was killed before it could settle the delivery
	var again delivery.Leased
	until(t, func() bool {
		leased := lease(t, store, receiver, 100, time.Hour)
		for _, l := range leased {
			if l.Job == second {
				again = l
			}
		}
		return again.Lease != 0
	})
	require.NotEqual(t, short.Lease, again.Lease)
	require.Equal(t, short.Payload, again.Payload, "it is sent as it was")
	require.Empty(t, lease(t, store, receiver, 100, time.Hour))

	settle(t, store, short.After(accepted))
	require.Equal(t, delivery.Pending, deliveries(t, store, second)[0].State, "an old lease settles nothing")
	settle(t, store, again.After(accepted))
	settle(t, store, again.After(rejected))
	settled := deliveries(t, store, second)[0]
	require.Equal(t, delivery.Delivered, settled.State, "a lease is settled once")
	require.Equal(t, []delivery.Attempt{accepted}, settled.Attempts)
}

// testDeliverySettlement requires that a settlement is kept, and that the delivery is due when it says.
func testDeliverySettlement(t *suite) {
	store, stop := t.startStopping()
	id := ended(t, store, hook)
	leased := leaseOne(t, store, time.Hour)
	settle(t, store, delivery.Settlement{
		Key: leased.Key, Lease: leased.Lease, State: delivery.Pending, Failures: 3, Attempts: []delivery.Attempt{rejected, rejected},
	})
	leased = leaseOne(t, store, time.Hour)
	require.Equal(t, 3, leased.Failures)
	require.Equal(t, []delivery.Attempt{rejected, rejected}, leased.Attempts)
	settle(t, store, delivery.Settlement{
		Key: leased.Key, Lease: leased.Lease, State: delivery.Pending, Failures: 4, Delay: time.Hour, Attempts: leased.Attempts,
	})
	require.Empty(t, lease(t, store, receiver, 100, time.Hour), "it is not due yet")
	require.WithinDuration(t, time.Now().Add(time.Hour), deliveries(t, store, id)[0].DueAt, Patience)
	stop()
	store = t.start()
	require.Empty(t, lease(t, store, receiver, 100, time.Hour), "it is not due yet after a restart either")

	gone := ended(t, store, hook)
	leased = leaseOne(t, store, time.Hour)
	settle(t, store, leased.After(delivery.Attempt{StartedAt: noon, StatusCode: 410, Fault: delivery.Gone}))
	require.Equal(t, delivery.Abandoned, deliveries(t, store, gone)[0].State)
	require.Empty(t, lease(t, store, receiver, 100, time.Hour))
}

// testDeliveryOrder requires that each end of a job that is retried is reported, and that a report waits for the earlier ones.
func testDeliveryOrder(t *suite) {
	store := t.start()
	id := newID(t)
	future := time.Now().UTC().Truncate(time.Microsecond).Add(time.Hour)
	submission, _ := retryable(id).(job.Submitted)
	submission.Submission.Callback = &job.Callback{URL: hook, Events: []string{"job.succeeded", "job.failed"}}
	generation := func(n int32, event job.Event) job.Event {
		ended, _ := event.(job.Ended)
		ended.Generation = n
		return ended
	}
	apply(t, store, submission, kept(failed(id, 1, 2), future))
	first := leaseOne(t, store, time.Hour)
	apply(t, store, job.Retried{ID: job.ID(id), At: noon})
	apply(t, store, generation(1, kept(failed(id, 2, 3), future)), job.Retried{ID: job.ID(id), At: noon}, generation(2, succeeded(id, 3, 4)))
	found := deliveries(t, store, id)
	require.Len(t, found, 3, "also that of a generation that ended and was retried in one batch")
	for i, d := range found {
		require.EqualValues(t, i, d.Generation)
		require.NotEqual(t, found[(i+1)%3].ID(), d.ID())
	}
	require.Empty(t, lease(t, store, receiver, 100, time.Hour), "they wait for the first one")
	settle(t, store, delivery.Settlement{Key: first.Key, Lease: first.Lease, State: delivery.Pending, Delay: time.Millisecond})
	until(t, func() bool {
		leased := lease(t, store, receiver, 100, time.Hour)
		if len(leased) > 0 {
			require.Len(t, leased, 1)
			require.Equal(t, first.Key, leased[0].Key)
			first = leased[0]
		}
		return len(leased) > 0
	})
	settle(t, store, first.After(delivery.Attempt{StartedAt: noon, StatusCode: 410, Fault: delivery.Gone}))
	for n := range int32(2) {
		next := leaseOne(t, store, time.Hour)
		require.Equal(t, n+1, next.Generation)
		settle(t, store, next.After(accepted))
	}
}

func testDeliveryReceivers(t *suite) {
	store := t.start()
	names := func(after string, limit int) (names []string, due []bool) {
		found, err := store.Receivers(t.Context(), after, limit)
		require.NoError(t, err)
		for _, r := range found {
			names, due = append(names, r.Name), append(due, r.Due)
		}
		return names, due
	}
	none, _ := names("", 10)
	require.Empty(t, none)
	for i := range 5 {
		for range 3 {
			ended(t, store, fmt.Sprintf("https://%c.example/", 'a'+i))
		}
	}
	all, due := names("", 10)
	require.Equal(t, []string{"a.example", "b.example", "c.example", "d.example", "e.example"}, all)
	require.Equal(t, []bool{true, true, true, true, true}, due)
	page, _ := names("b.example", 2)
	require.Equal(t, []string{"c.example", "d.example"}, page)
	page, _ = names("e.example", 2)
	require.Empty(t, page)

	require.Len(t, lease(t, store, "c.example", 100, time.Hour), 3)
	require.Len(t, lease(t, store, "d.example", 2, time.Hour), 2)
	for _, l := range lease(t, store, "b.example", 100, time.Hour) {
		settle(t, store, l.After(accepted))
	}
	all, due = names("", 10)
	require.Equal(t, []string{"a.example", "c.example", "d.example", "e.example"}, all)
	require.Equal(t, []bool{true, false, true, true}, due)
}

func testDeliveryResend(t *suite) {
	store := t.start()
	id := ended(t, store, hook)
	none, err := store.ResendDeliveries(t.Context(), newID(t))
	require.NoError(t, err)
	require.Zero(t, none)
	first := leaseOne(t, store, time.Hour)
	settle(t, store, first.After(accepted))

	resend := func() {
		resent, err := store.ResendDeliveries(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, 1, resent)
	}
	resend()
	again := leaseOne(t, store, time.Hour)
	require.Equal(t, first.Key, again.Key, "a receiver recognizes it")
	require.Equal(t, []any{first.Payload, 0}, []any{again.Payload, again.Failures})
	require.Equal(t, []delivery.Attempt{accepted}, again.Attempts)
	resend() // while it is leased
	settle(t, store, again.After(rejected))
	third := leaseOne(t, store, time.Hour)
	settle(t, store, third.After(accepted))
	require.Equal(t, delivery.Delivered, deliveries(t, store, id)[0].State)
}

// testForgetDeliveries requires that nothing is kept of the webhooks of a job that was deleted, but that they are sent.
func testForgetDeliveries(t *suite) {
	store := t.start()
	sent, other := ended(t, store, hook), ended(t, store, hook)
	for _, l := range lease(t, store, receiver, 2, time.Hour) {
		settle(t, store, l.After(accepted))
	}
	waiting := ended(t, store, hook)
	for _, id := range []uuid.UUID{sent, waiting, newID(t)} {
		require.NoError(t, store.ForgetDeliveries(t.Context(), id))
	}
	require.Empty(t, deliveries(t, store, sent))
	require.Len(t, deliveries(t, store, other), 1)
	again := leaseOne(t, store, time.Hour)
	require.Equal(t, waiting, again.Job)
	require.NotEmpty(t, again.Payload)
	settle(t, store, delivery.Settlement{Key: again.Key, Lease: again.Lease, State: delivery.Pending, Failures: 1})
	again = leaseOne(t, store, time.Hour)
	require.Len(t, deliveries(t, store, waiting), 1)
	settle(t, store, again.After(accepted))
	require.Empty(t, deliveries(t, store, waiting))
	resent, err := store.ResendDeliveries(t.Context(), waiting)
	require.NoError(t, err)
	require.Zero(t, resent)
}

func testDeleteDeliveries(t *suite) {
	store := t.start()
	var ids []uuid.UUID
	for range 5 {
		ids = append(ids, ended(t, store, hook))
	}
	settle(t, store, lease(t, store, receiver, 1, time.Hour)[0].After(accepted))
	remove := func(age time.Duration, limit int) int {
		deleted, err := store.DeleteDeliveries(t.Context(), age, limit)
		require.NoError(t, err)
		return deleted
	}
	require.Zero(t, remove(time.Hour, 100), "they are new")
	require.Equal(t, 2, remove(-time.Minute, 2))
	require.Equal(t, 3, remove(-time.Minute, 100))
	for _, id := range ids {
		require.Empty(t, deliveries(t, store, id))
		require.Equal(t, id, read(t, store, id).ID, "the job remains")
	}
	apply(t, store, succeeded(ids[0], 1, 1))
	require.Empty(t, deliveries(t, store, ids[0]), "the end is reported once")
}

func testDeliveryBacklog(t *suite) {
	store := t.start()
	backlog := func() delivery.Backlog {
		b, err := store.DeliveryBacklog(t.Context())
		require.NoError(t, err)
		return b
	}
	require.Zero(t, backlog())
	for range 3 {
		ended(t, store, hook)
	}
	until(t, func() bool { b := backlog(); return b.Pending == 3 && b.Overdue > 0 })
	leased := lease(t, store, receiver, 100, time.Hour)
	require.Equal(t, delivery.Backlog{Pending: 3}, backlog(), "none is due")
	settle(t, store, leased[0].After(accepted))
	require.Equal(t, 2, backlog().Pending)
}

// deliverSome leases and settles some deliveries, and reports whether others are pending.
func deliverSome(t *suite, store jobstore.Store, each func(uuid.UUID)) (more bool, err error) {
	leased, err := store.LeaseDeliveries(t.Context(), receiver, 4, time.Hour)
	if err != nil {
		return false, err
	}
	for _, l := range leased {
		each(l.Job)
		if err := store.SettleDelivery(t.Context(), l.After(accepted)); err != nil {
			return false, err
		}
	}
	backlog, err := store.DeliveryBacklog(t.Context())
	return backlog.Pending > 0, err
}

// testDeliveryConcurrency lets replicas lease and settle at the same time. Each delivery must be leased once.
func testDeliveryConcurrency(t *suite) {
	stores := t.startReplicas(3)
	const jobs = 60
	for range jobs {
		ended(t, stores[0], hook)
	}
	var mu sync.Mutex
	var leased []uuid.UUID
	var group errgroup.Group
	for i := range 6 {
		store := stores[i%len(stores)]
		group.Go(func() error {
			for {
				more, err := deliverSome(t, store, func(id uuid.UUID) {
					mu.Lock()
					defer mu.Unlock()
					leased = append(leased, id)
				})
				if err != nil || !more {
					return err
				}
			}
		})
	}
	require.NoError(t, group.Wait())
	require.Len(t, leased, jobs)
	slices.SortFunc(leased, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	require.Len(t, slices.Compact(leased), jobs, "each was leased once")
}
