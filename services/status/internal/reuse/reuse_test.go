package reuse_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/s3"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/reuse"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

func TestMain(m *testing.M) { testbench.Main(m) }

const patience = time.Minute

// build is the one that has made all results.
var build = bytes.Repeat([]byte{9}, 32)

// bench has a Reuse, and gates in front of its servers.
type bench struct {
	*testing.T

	*reuse.Reuse
	jobs    *jobs
	results *results
	// uncertain receives the ends that may have been recorded.
	uncertain chan job.Ended
}

func setup(t *testing.T) bench {
	t.Helper()
	shared := testbench.New(t)
	store, err := s3.New(s3.Config{
		Endpoint: shared.StoreEndpoint, Region: shared.StoreRegion, AccessKey: shared.StoreAccessKey, SecretKey: config.NewSecret(shared.StoreSecretKey),
	})
	require.NoError(t, err)
	b := bench{
		T:         t,
		jobs:      &jobs{Store: postgrestest.Open(t, postgrestest.Config(shared)), applies: make(chan int, 1000)},
		results:   &results{Bucket: store.Bucket(shared.ResultsBucket), deleted: make(chan string, 1000)},
		uncertain: make(chan job.Ended, 1000),
	}
	b.Reuse = reuse.New(reuse.Deps{
		Jobs: b.jobs, Clock: clock.New(b.jobs, zap.NewNop()), Results: b.results,
		Retention: job.Retention{Files: time.Hour, Source: time.Hour},
		Uncertain: func(end job.Ended) { b.uncertain <- end },
		Log:       zap.NewNop(), Metrics: prometheus.NewRegistry(),
	})
	b.Patient(patience)
	return b
}

// receive returns what the channel receives. It fails the test if that takes too long.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		require.FailNow(t, "nothing was received")
		panic("unreachable")
	}
}

// gate holds what passes it while it is closed. The zero gate is open.
type gate struct {
	mu      sync.Mutex
	closed  chan struct{}
	arrived chan struct{}
}

// close closes the gate. It returns a channel that receives a value for each that arrives, and a function that opens the gate.
func (g *gate) close() (arrived <-chan struct{}, open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	closed := make(chan struct{})
	g.closed, g.arrived = closed, make(chan struct{}, 1000)
	return g.arrived, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.closed = nil
		close(closed)
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	closed, arrived := g.closed, g.arrived
	g.mu.Unlock()
	if closed != nil {
		arrived <- struct{}{}
		<-closed
	}
}

// jobs is a store with gates.
type jobs struct {
	jobstore.Store

	searching, applying gate
	// applies receives the number of events of each transaction.
	applies chan int
}

func (j *jobs) Reusable(ctx context.Context, digest []byte, builds [][]byte) (job.Job, error) {
	j.searching.pass()
	return j.Store.Reusable(ctx, digest, builds)
}

func (j *jobs) Apply(ctx context.Context, events []job.Event) ([]jobstore.Outcome, error) {
	j.applying.pass()
	j.applies <- len(events)
	return j.Store.Apply(ctx, events)
}

// results is a bucket with a gate.
type results struct {
	blob.Bucket

	copying gate
	deleted chan string
	// failure is what Copy returns if it is not nil.
	failure error
}

// Copy does not observe the context while it waits, like a file system that writes.
func (r *results) Copy(ctx context.Context, key, from string) error {
	r.copying.pass()
	if r.failure != nil {
		return r.failure
	}
	return r.Bucket.Copy(context.WithoutCancel(ctx), key, from)
}

func (r *results) Delete(ctx context.Context, key string) error {
	err := r.Bucket.Delete(ctx, key)
	r.deleted <- key
	return err
}

// submission returns a submission of a document of 3 bytes. Its result may be that of others with the same digest.
func (b bench) submission(digest byte) *conversionv1.ConvertRequested {
	b.Helper()
	id, err := uuid.NewV7()
	require.NoError(b, err)
	return &conversionv1.ConvertRequested{
		JobId: id.String(), SubmissionId: uuid.NewString(), RequestedAt: timestamppb.Now(), CacheDigest: bytes.Repeat([]byte{digest}, 32),
		Source: &conversionv1.Source{ObjectKey: id.String(), Filename: "a.txt", Format: "txt", Size: 3, Sha256: bytes.Repeat([]byte{7}, 32)},
		Target: &conversionv1.Target{Format: "pdf"},
	}
}

// convert stores a job with a result, whose size is said to be that.
func (b bench) convert(digest byte, size int64) {
	b.Helper()
	command := b.submission(digest)
	event, err := job.Read(command)
	require.NoError(b, err)
	key, at := command.GetJobId()+"/1.pdf", time.Now().UTC().Truncate(time.Microsecond)
	require.NoError(b, b.results.Put(b.Context(), key, strings.NewReader("abc"), 3, blob.PutOptions{}))
	b.apply(event, job.Ended{
		ID: job.ID(event.Job()), Status: job.Succeeded, Attempt: 1, FinishedAt: at, Build: build,
		Result: &job.Result{ObjectKey: key, Size: size, SHA256: []byte{1}}, ExpiresAt: at.Add(time.Hour), SourceExpiresAt: at.Add(time.Hour),
	})
}

func (b bench) apply(events ...job.Event) {
	b.Helper()
	outcomes, err := b.jobs.Store.Apply(b.Context(), events)
	require.NoError(b, err)
	for _, outcome := range outcomes {
		require.True(b, outcome.Changed)
	}
}

// ask asks for the result of an earlier job.
func (b bench) ask(command *conversionv1.ConvertRequested) error {
	return b.Answer(b.Context(), command, [][]byte{build})
}

// begin is ask in the background. cancel ends the context of the request.
func (b bench) begin(command *conversionv1.ConvertRequested) (outcome <-chan error, cancel func()) {
	ctx, cancel := context.WithCancel(b.Context())
	outcomes := make(chan error, 1)
	go func() { outcomes <- b.Answer(ctx, command, [][]byte{build}) }()
	return outcomes, cancel
}

// find returns the job of a submission.
func (b bench) find(command *conversionv1.ConvertRequested) (job.Job, error) {
	return b.jobs.Job(b.Context(), uuid.MustParse(command.GetJobId()))
}

// copies returns the keys of the results of the job of a submission.
func (b bench) copies(command *conversionv1.ConvertRequested) []string {
	b.Helper()
	var keys []string
	for entry, err := range b.results.List(b.Context(), command.GetJobId()+"/", "") {
		require.NoError(b, err)
		keys = append(keys, entry.Key)
	}
	return keys
}

// requireNothing requires that there is neither a job nor a copy.
func (b bench) requireNothing(command *conversionv1.ConvertRequested) {
	b.Helper()
	require.Empty(b, b.copies(command))
	_, err := b.find(command)
	require.ErrorIs(b, err, jobstore.ErrNotFound)
}

// TestDocumentOfACopyExpiresSoon: a job that has succeeded needs no document.
func TestDocumentOfACopyExpiresSoon(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.convert(1, 3)
	command := b.submission(1)
	require.NoError(t, b.ask(command))
	found, err := b.find(command)
	require.NoError(t, err)
	require.Equal(t, found.FinishedAt.Add(time.Hour), found.SourceExpiresAt)
	require.Equal(t, found.SourceExpiresAt, found.DueAt)
	require.Equal(t, found.FinishedAt.Add(time.Hour), found.ExpiresAt)
	require.Equal(t, []string{found.Result.ObjectKey}, b.copies(command))
}

// TestLateCopyIsDeleted: a copy that is finished after its time belongs to no job.
func TestLateCopyIsDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.convert(1, 3)
	copying, open := b.results.copying.close()
	command := b.submission(1)
	outcome, cancel := b.begin(command)
	<-copying
	cancel()
	require.ErrorIs(t, <-outcome, reuse.ErrNone, "the answer does not wait for the store")
	open()
	require.True(t, strings.HasPrefix(receive(t, b.results.deleted), command.GetJobId()))
	b.requireNothing(command)
	require.Empty(t, b.uncertain)
}

var errLost = errors.New("the response of the store was lost")

// TestFailedCopyMayAppear: the store may still copy after it has reported a failure.
func TestFailedCopyMayAppear(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.convert(1, 3)
	b.results.failure = errLost
	command := b.submission(1)
	require.ErrorIs(t, b.ask(command), reuse.ErrNone)
	deleted := receive(t, b.results.deleted)
	require.Equal(t, deleted, receive(t, b.uncertain).Result.ObjectKey)

	b.results.failure = blob.ErrFull
	require.ErrorIs(t, b.ask(b.submission(1)), reuse.ErrNone)
	require.Empty(t, b.uncertain)
	require.Empty(t, b.results.deleted)
}

// TestLateRecordIsWithdrawn: what could not be recorded in time is not recorded later, and its copy is deleted.
func TestLateRecordIsWithdrawn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.convert(1, 3)
	applying, open := b.jobs.applying.close()
	var taken []*conversionv1.ConvertRequested
	var unknown []<-chan error
	for range reuse.MaxWriters {
		command := b.submission(1)
		outcome, cancel := b.begin(command)
		<-applying
		cancel()
		taken, unknown = append(taken, command), append(unknown, outcome)
	}
	for i, command := range taken {
		err := <-unknown[i]
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, reuse.ErrNone, "it may be recorded")
		require.Contains(t, b.copies(command), receive(t, b.uncertain).Result.ObjectKey)
	}
	late := b.submission(1)
	outcome, cancel := b.begin(late)
	b.waitFor(1)
	cancel()
	require.ErrorIs(t, <-outcome, reuse.ErrNone)
	require.True(t, strings.HasPrefix(receive(t, b.results.deleted), late.GetJobId()))
	open()
	for _, command := range taken {
		require.Equal(t, 2, receive(t, b.jobs.applies))
		require.Eventually(t, func() bool { _, err := b.find(command); return err == nil }, patience, time.Millisecond)
	}
	b.requireNothing(late)
	require.Empty(t, b.jobs.applies)
}

// waitFor waits until that many jobs wait for a transaction.
func (b bench) waitFor(n int) {
	b.Helper()
	require.Eventually(b, func() bool { return b.Recorder().Waiting() == n }, patience, time.Millisecond)
}

// TestAnswersShareTransactions: however many jobs are recorded at once, they take few connections, and few of them wait.
func TestAnswersShareTransactions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.convert(1, 3)
	applying, open := b.jobs.applying.close()
	commands := map[string]*conversionv1.ConvertRequested{}
	outcomes := map[string]<-chan error{}
	begin := func() {
		command := b.submission(1)
		commands[command.GetJobId()] = command
		outcomes[command.GetJobId()], _ = b.begin(command)
	}
	for range reuse.MaxWriters {
		begin()
		<-applying
	}
	for n := range 40 {
		begin()
		b.waitFor(n + 1)
	}
	require.Empty(t, applying, "more transactions than writers")
	open()
	for id, outcome := range outcomes {
		require.NoError(t, <-outcome)
		found, err := b.find(commands[id])
		require.NoError(t, err)
		require.Equal(t, job.Succeeded, found.Status)
	}
	require.Equal(t, []int{2, 2, 80}, b.transactions())
}

// TestExpiredRecordIsNotMade: a process that was paused does not record jobs whose requests are over. Their clients may have been told that
// there is no job.
func TestExpiredRecordIsNotMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.ErrorIs(t, b.Recorder().Expire(time.Now()), reuse.ErrWithdrawn)
}

// TestRecordsAreBounded: a submission does not wait behind many others.
func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	applying, open := b.jobs.applying.close()
	outcomes := make(chan error, reuse.MaxWriters+reuse.MaxWaiting)
	record := func() {
		event, err := job.Read(b.submission(1))
		require.NoError(t, err)
		submitted, _ := event.(job.Submitted)
		at := submitted.Submission.RequestedAt
		go func() {
			outcomes <- b.Recorder().Record(t.Context(), submitted, job.Ended{
				ID: submitted.ID, Status: job.Succeeded, FinishedAt: at, Result: &job.Result{ObjectKey: "a/b", Size: 3, SHA256: []byte{1}},
				ExpiresAt: at.Add(time.Hour), SourceExpiresAt: at.Add(time.Hour), Report: &job.Report{Cached: true},
			})
		}()
	}
	for range reuse.MaxWriters {
		record()
		<-applying
	}
	for range reuse.MaxWaiting {
		record()
	}
	b.waitFor(reuse.MaxWaiting)
	record()
	require.ErrorIs(t, <-outcomes, reuse.ErrBusy)
	open()
	for range reuse.MaxWriters + reuse.MaxWaiting {
		require.NoError(t, <-outcomes)
	}
	want := slices.Concat(slices.Repeat([]int{2}, reuse.MaxWriters), slices.Repeat([]int{2 * reuse.MaxAnswers}, reuse.MaxWaiting/reuse.MaxAnswers))
	require.Equal(t, want, b.transactions())
}

// transactions returns the numbers of events of all transactions, in ascending order.
func (b bench) transactions() []int {
	var sizes []int
	for len(b.jobs.applies) > 0 {
		sizes = append(sizes, <-b.jobs.applies)
	}
	slices.Sort(sizes)
	return sizes
}

// TestBytesAreLimited: copies that are larger than their documents are limited by the difference, the others by their number.
func TestBytesAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.LimitBytes(2*reuse.MaxSize + reuse.MinCost)
	b.convert(1, reuse.MaxSize)
	require.NoError(t, b.ask(b.submission(1)))
	require.NoError(t, b.ask(b.submission(1)))
	refused := b.submission(1)
	require.ErrorIs(t, b.ask(refused), reuse.ErrNone)
	b.requireNothing(refused)
	cheap := func() *conversionv1.ConvertRequested {
		submission := b.submission(1)
		submission.Source.Size = reuse.MaxSize
		return submission
	}
	require.NoError(t, b.ask(cheap()))
	require.ErrorIs(t, b.ask(cheap()), reuse.ErrNone)
}

// TestLargeCopiesLeaveSlots: one client with large results cannot keep the others from theirs, which are small.
func TestLargeCopiesLeaveSlots(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.LimitBytes(1 << 30)
	b.convert(1, reuse.MaxSize)
	b.convert(2, 200_000)
	copying, open := b.results.copying.close()
	var outcomes []<-chan error
	for range reuse.MaxLargeCopies {
		outcome, _ := b.begin(b.submission(1))
		outcomes = append(outcomes, outcome)
		<-copying
	}
	refused := b.submission(1)
	require.ErrorIs(t, b.ask(refused), reuse.ErrNone, "it waits for a short time")
	b.requireNothing(refused)
	require.Empty(t, copying)
	small, _ := b.begin(b.submission(2))
	<-copying
	open()
	for _, outcome := range append(outcomes, small) {
		require.NoError(t, <-outcome)
	}
}

// TestSearchesAreLimited: the connections to the database are shared with polls.
func TestSearchesAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.convert(1, 3)
	searching, open := b.jobs.searching.close()
	var outcomes []<-chan error
	for range reuse.MaxSearches {
		outcome, _ := b.begin(b.submission(1))
		outcomes = append(outcomes, outcome)
		<-searching
	}
	require.ErrorIs(t, b.ask(b.submission(1)), reuse.ErrNone)
	require.Empty(t, searching)
	open()
	for _, outcome := range outcomes {
		require.NoError(t, <-outcome)
	}
}
