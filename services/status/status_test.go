package status_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/redrive"
	sqlitedb "github.com/docmill/docmill/platform/sqlite"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/sqlite"
)

// applied is the metric of jobs that have succeeded.
const applied = `docmill_status_events_total{event="job.succeeded",outcome="applied"}`

func TestEventsBecomeStates(t *testing.T) {
	t.Parallel()
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		bench := testbench.New(t)
		testEventsBecomeStates(t, bench, start(t, bench, patience).ready(t))
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		bench := testbench.New(t)
		db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "docmill.db"), sqlitedb.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		testEventsBecomeStates(t, bench, startOn(t, sqlite.New(db), parse(t, bench), patience, zap.NewNop()).ready(t))
	})
}

func testEventsBecomeStates(t *testing.T, bench *testbench.Bench, r replica) {
	t.Helper()
	p, id := publisher(t, bench), newID(t)

	recorded := ask(t, r.url+"/internal/jobs/"+id+"/recorded?wait=60s")
	send(t, p, submitted(id))
	require.Equal(t, http.StatusOK, (<-recorded).StatusCode)
	queued, found := r.job(t, id)
	require.True(t, found, "the job is visible as soon as it is reported as recorded")
	require.Equal(t, jobapi.Queued, queued.Status)

	send(t, p, life(id)...)
	done := r.ended(t, id)
	require.Equal(t, jobapi.Succeeded, done.Status)
	require.Equal(t, int32(8), done.Result.Pages)
	require.Equal(t, http.StatusOK, get(t, r.url+"/internal/jobs/"+id+"/result").StatusCode)
	require.Contains(t, string(get(t, r.admin+"/metrics").Body), applied+" 1")
}

// TestSecretsAreNotStored requires that sealed secrets are not in any response or log line, even if the message is dead-lettered,
// and that they are stored only while the job can be retried.
func TestSecretsAreNotStored(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	var written logged
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), &written, zap.DebugLevel))
	r := startLogging(t, bench, patience, log).ready(t)
	ch, p := channel(t, bench), publisher(t, bench)
	sealed := []byte("sealed-for-the-converter-alone")
	withSecrets := func(id string) *conversionv1.ConvertRequested {
		m := submitted(id)
		m.Target.Options = &conversionv1.Options{Pages: new("1-3"), PdfA: conversionv1.PdfA_PDF_A_2B}
		m.Target.SealedSecrets = sealed
		return m
	}
	forRetry := []byte("sealed secrets of a job that can be retried")
	good, dead := newID(t), newID(t)
	send(t, p, withSecrets(good), withSecrets("no-uuid"))
	send(t, p, life(good)...)
	retryable := withSecrets(dead)
	retryable.Target.SealedSecrets = forRetry
	for _, m := range []proto.Message{retryable, &conversionv1.ConversionStarted{}} {
		body, err := proto.Marshal(m)
		require.NoError(t, err)
		require.NoError(t, ch.PublishWithContext(t.Context(), "", rabbitmq.QueueDeadCommands, true, false, amqp.Publishing{
			Type: string(proto.MessageName(m)), ContentType: "application/protobuf", CorrelationId: dead, Body: body,
		}))
	}
	shown := r.ended(t, good)
	require.Equal(t, map[string]any{"pages": "1-3", "pdf_a": "2b"}, shown.Target.Options)
	require.Equal(t, jobapi.Failed, r.ended(t, dead).Status)
	require.Eventually(t, func() bool { return strings.Contains(written.String(), "no-uuid") }, patience, poll)

	forms := func(secrets []byte) []string {
		return []string{string(secrets), hex.EncodeToString(secrets), base64.RawStdEncoding.EncodeToString(secrets)}
	}
	shownOrLogged := written.String() + string(get(t, r.url+jobapi.Path(good)).Body) +
		string(get(t, r.url+jobapi.Path(dead)).Body) + string(get(t, r.admin+"/metrics").Body)
	for _, form := range append(forms(sealed), forms(forRetry)...) {
		require.NotContains(t, shownOrLogged, form)
	}
	kept := rows(t, bench)
	require.Contains(t, kept, good)
	for _, form := range forms(sealed) {
		require.NotContains(t, kept, form, "the job cannot be retried")
	}
	require.Contains(t, kept, hex.EncodeToString(forRetry))
}

// logged collects a log. It is safe for concurrent use.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) Sync() error { return nil }

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// rows returns the contents of the database as text.
func rows(t *testing.T, bench *testbench.Bench) string {
	t.Helper()
	settings, err := pgx.ParseConfig(bench.DatabaseURL)
	require.NoError(t, err)
	settings.Password = bench.DatabasePassword
	connection, err := pgx.ConnectConfig(t.Context(), settings)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	var all string
	require.NoError(t, connection.QueryRow(t.Context(), "SELECT string_agg(jobs::text, ' ') FROM jobs").Scan(&all))
	return all
}

func TestBadEventsAreDeadLettered(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	r := start(t, bench, patience).ready(t)
	ch, p := channel(t, bench), publisher(t, bench)
	good := newID(t)
	body, err := proto.Marshal(submitted("no-uuid"))
	require.NoError(t, err)
	requested := string(proto.MessageName(submitted(good)))
	poison := []amqp.Publishing{
		{Type: "docmill.conversion.v9.Unheard", ContentType: "application/protobuf"},
		{Type: requested, ContentType: "application/protobuf", Body: []byte{0xff, 0xff}},
		{Type: requested, ContentType: "application/json", Body: []byte("{}")},
		{Type: requested, ContentType: "application/protobuf", Body: body},
		{Type: "google.protobuf.Timestamp", ContentType: "application/protobuf"},
	}
	for i, bad := range poison {
		require.NoError(t, ch.PublishWithContext(t.Context(), rabbitmq.ExchangeJobs, "job.started", true, false, bad))
		if i == 2 {
			send(t, p, submitted(good))
		}
	}
	send(t, p, life(good)...)
	require.Equal(t, jobapi.Succeeded, r.ended(t, good).Status)

	dead, err := ch.Consume(rabbitmq.QueueDeadEvents, "", true, false, false, false, nil)
	require.NoError(t, err)
	for range poison {
		select {
		case d := <-dead:
			require.Contains(t, poison, amqp.Publishing{Type: d.Type, ContentType: d.ContentType, Body: nonEmpty(d.Body)})
		case <-time.After(patience):
			require.Fail(t, "a bad event was not dead-lettered")
		}
	}
}

func nonEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func TestDeadCommandFailsItsJob(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	r := start(t, bench, patience).ready(t)
	p, deadly := publisher(t, bench), newID(t)
	send(t, p, submitted(deadly))
	for range message.CommandsDeliveryLimit + 1 { // workers that crash
		ch := channel(t, bench)
		require.NoError(t, ch.Qos(1, 0, false))
		deliveries, err := ch.Consume(rabbitmq.QueueCommands, "", false, false, false, false, nil)
		require.NoError(t, err)
		require.Equal(t, deadly, (<-deliveries).CorrelationId)
		require.NoError(t, ch.Close())
	}
	failed := r.ended(t, deadly)
	require.Equal(t, jobapi.Failed, failed.Status)
	require.Equal(t, string(problem.AttemptsExhausted), failed.Error.Code)
	require.NotNil(t, failed.FinishedAt)

	// A command that no converter could decode names its job outside of its body.
	refused := newID(t)
	send(t, p, submitted(refused))
	ch := channel(t, bench)
	deliveries, err := ch.Consume(rabbitmq.QueueCommands, "", false, false, false, false, nil)
	require.NoError(t, err)
	d := <-deliveries
	for _, dead := range []amqp.Publishing{{Type: "unheard", CorrelationId: refused}, {Type: "unheard"}} {
		require.NoError(t, ch.PublishWithContext(t.Context(), "", rabbitmq.QueueDeadCommands, true, false, dead))
	}
	require.NoError(t, d.Ack(false))
	require.Equal(t, string(problem.AttemptsExhausted), r.ended(t, refused).Error.Code)

	// The dead command alone makes the job visible if the event of its submission was lost.
	unseen := submitted(newID(t))
	body, err := proto.Marshal(unseen)
	require.NoError(t, err)
	require.NoError(t, ch.PublishWithContext(t.Context(), "", rabbitmq.QueueDeadCommands, true, false, amqp.Publishing{
		Type: string(proto.MessageName(unseen)), ContentType: "application/protobuf",
		CorrelationId: unseen.GetJobId(), Body: body,
	}))
	require.Equal(t, "deck.pptx", r.ended(t, unseen.GetJobId()).Source.Filename)
	counted := func() bool {
		return strings.Contains(string(get(t, r.admin+"/metrics").Body), "docmill_status_dead_commands_total 4")
	}
	require.Eventually(t, counted, patience, poll)

	// The dead command of another submission does not end the job.
	twice := newID(t)
	one, other := submitted(twice), submitted(twice)
	one.SubmissionId, other.SubmissionId = uuid.NewString(), uuid.NewString()
	send(t, p, one, &conversionv1.ConversionStarted{
		JobId: twice, SubmissionId: one.GetSubmissionId(), Attempt: 1, StartedAt: timestamppb.Now(),
	})
	require.Eventually(t, func() bool {
		read, found := r.job(t, twice)
		return found && read.Status == jobapi.Running
	}, patience, poll)
	for i, command := range []*conversionv1.ConvertRequested{other, one} { // handled in this order
		body, err := proto.Marshal(command)
		require.NoError(t, err)
		require.NoError(t, ch.PublishWithContext(t.Context(), "", rabbitmq.QueueDeadCommands, true, false, amqp.Publishing{
			Type: string(proto.MessageName(command)), ContentType: "application/protobuf", CorrelationId: twice, Body: body,
			Headers: amqp.Table{"docmill-attempt": int32(i + 2)},
		}))
	}
	require.EqualValues(t, 3, r.ended(t, twice).Attempt)
}

// TestDeadEventsAreRedriven has valid events that were dead-lettered, for example by an older version. They are counted, and are
// applied when they are moved back, even if that happens twice.
func TestDeadEventsAreRedriven(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	ch, p, id := channel(t, bench), publisher(t, bench), newID(t)
	require.NoError(t, ch.Confirm(false))
	bury := func(messages ...proto.Message) {
		for _, m := range messages {
			body, err := proto.Marshal(m)
			require.NoError(t, err)
			confirm, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), "", rabbitmq.QueueDeadEvents, true, false, amqp.Publishing{
				Type: string(proto.MessageName(m)), ContentType: "application/protobuf", CorrelationId: id, Body: body,
			})
			require.NoError(t, err)
			require.True(t, confirm.Wait())
		}
	}
	bury(life(id)...)
	send(t, p, submitted(id))
	r := start(t, bench, patience).ready(t)
	counted := func(n string) func() bool {
		return func() bool {
			return strings.Contains(string(get(t, r.admin+"/metrics").Body), `docmill_status_dead_letters{queue="dead-events"} `+n)
		}
	}
	require.Eventually(t, counted("3"), patience, poll)
	require.Eventually(t, func() bool {
		queued, found := r.job(t, id)
		return found && queued.Status == jobapi.Queued
	}, patience, poll)

	broker := rabbit(t, brokerConfig(bench), "test", zap.NewNop(), nil)
	require.NoError(t, redrive.Settings{}.Run(t.Context(), broker, io.Discard))
	ended := r.ended(t, id)
	require.Equal(t, jobapi.Succeeded, ended.Status)
	bury(life(id)...)
	require.NoError(t, redrive.Settings{}.Run(t.Context(), broker, io.Discard))
	require.Eventually(t, func() bool {
		return strings.Contains(string(get(t, r.admin+"/metrics").Body), `event="job.succeeded",outcome="without_effect"} 1`)
	}, patience, poll)
	require.Equal(t, ended, r.ended(t, id))
	require.Eventually(t, counted("0"), patience, poll)
}

// load publishes all messages of jobs from several clients until stop is closed. It returns a function that returns
// the ids.
func load(t *testing.T, bench *testbench.Bench, stop <-chan struct{}) func() []string {
	t.Helper()
	const clients = 8
	p := publisher(t, bench)
	var mu sync.Mutex
	var ids []string
	var publishing sync.WaitGroup
	for range clients {
		publishing.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-t.Context().Done():
					return
				default:
				}
				id := newID(t)
				send(t, p, append([]proto.Message{submitted(id)}, life(id)...)...)
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
	}
	return func() []string {
		publishing.Wait()
		return ids
	}
}

func requireAllSucceeded(t *testing.T, r replica, ids []string) {
	t.Helper()
	require.NotEmpty(t, ids)
	for _, id := range ids {
		done := r.ended(t, id)
		require.Equal(t, jobapi.Succeeded, done.Status)
		require.Equal(t, int32(1), done.Attempt)
	}
}

func TestReplicasComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	stop := make(chan struct{})
	ids := load(t, bench, stop)
	first := start(t, bench, patience, "--batch-size=16").ready(t) // both migrate and consume
	second := start(t, bench, patience, "--batch-size=16").ready(t)
	works := func(r replica) func() bool {
		return func() bool { return r.counted(t, applied) }
	}
	require.Eventually(t, works(first), patience, poll)
	require.Eventually(t, works(second), patience, poll)
	first.stop() // drains
	third := start(t, bench, 0, "--batch-size=16").ready(t)
	require.Eventually(t, works(third), patience, poll)
	third.stop() // abandons its work
	close(stop)
	requireAllSucceeded(t, second, ids())
}

func TestPostgreSQLOutageUnderLoad(t *testing.T) {
	t.Parallel()
	bench := testbench.NewPrivate(t)
	r := start(t, bench, patience).ready(t)
	stop := make(chan struct{})
	ids := load(t, bench, stop)
	known := newID(t)
	send(t, publisher(t, bench), submitted(known))
	require.Eventually(t, func() bool { _, found := r.job(t, known); return found }, patience, poll)
	held := ask(t, r.url+jobapi.Path(known), "Prefer", "wait=60")

	for _, stop := range []func(context.Context) error{
		bench.Servers.PostgreSQL.Stop,
		func(context.Context) error { return bench.Servers.PostgreSQL.Kill() },
	} {
		require.NoError(t, stop(t.Context()))
		require.Eventually(t, func() bool { // the children of a killed server still respond for a moment
			got := get(t, r.url+jobapi.Path(known))
			return got.StatusCode == http.StatusServiceUnavailable && got.Header.Get("Retry-After") != ""
		}, patience, poll)
		require.Equal(t, http.StatusServiceUnavailable, get(t, r.admin+"/readyz").StatusCode)
		require.NoError(t, bench.Servers.PostgreSQL.Start(t.Context()))
		r.ready(t)
	}
	close(stop)
	requireAllSucceeded(t, r, ids())
	send(t, publisher(t, bench), life(known)...)
	require.Equal(t, jobapi.Succeeded, r.ended(t, known).Status)
	require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, (<-held).StatusCode)
}

func TestPostgreSQLHangs(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	link := testbench.Proxy(t, bench.DatabaseURL)
	bench.DatabaseURL = link.Through(bench.DatabaseURL)
	r := start(t, bench, patience, "--database-read-timeout=200ms").ready(t)
	p, before, during := publisher(t, bench), newID(t), newID(t)
	send(t, p, submitted(before))
	require.Eventually(t, func() bool { _, found := r.job(t, before); return found }, patience, poll)
	held := ask(t, r.url+jobapi.Path(before), "Prefer", "wait=60")

	link.Stall()
	for range 20 { // more than the pool has connections
		require.Equal(t, http.StatusServiceUnavailable, get(t, r.url+jobapi.Path(before)).StatusCode)
	}
	require.Equal(t, http.StatusServiceUnavailable, (<-held).StatusCode)
	require.Equal(t, http.StatusServiceUnavailable, get(t, r.admin+"/readyz").StatusCode)
	send(t, p, life(before)...)
	send(t, p, submitted(during))
	link.Heal()
	require.Equal(t, jobapi.Succeeded, r.ended(t, before).Status)
	require.Eventually(t, func() bool { _, found := r.job(t, during); return found }, patience, poll)
}

func TestRabbitMQOutageUnderLoad(t *testing.T) {
	t.Parallel()
	bench := testbench.NewPrivate(t)
	r := start(t, bench, patience).ready(t)
	stop := make(chan struct{})
	ids := load(t, bench, stop)
	known := newID(t)
	send(t, publisher(t, bench), submitted(known))
	require.Eventually(t, func() bool { _, found := r.job(t, known); return found }, patience, poll)
	require.NoError(t, bench.Servers.RabbitMQ.Kill())
	_, found := r.job(t, known)
	require.True(t, found, "polls do not need the broker")
	require.Eventually(t, func() bool { return !bytes.Contains(get(t, r.admin+"/readyz?verbose").Body, []byte(`"messages":"ok"`)) }, patience, poll)
	require.Equal(t, http.StatusOK, get(t, r.admin+"/readyz").StatusCode)
	require.NoError(t, bench.Servers.RabbitMQ.Start(t.Context()))
	r.ready(t)
	close(stop)
	requireAllSucceeded(t, r, ids())
}

func TestServiceStartsBeforeItsServers(t *testing.T) {
	t.Parallel()
	bench := testbench.NewPrivate(t)
	require.NoError(t, bench.Servers.PostgreSQL.Stop(t.Context()))
	require.NoError(t, bench.Servers.RabbitMQ.Kill())
	r := start(t, bench, patience)
	require.Equal(t, http.StatusServiceUnavailable, get(t, r.admin+"/readyz").StatusCode)
	require.Equal(t, http.StatusServiceUnavailable, get(t, r.url+jobapi.Path(newID(t))).StatusCode)
	require.NoError(t, bench.Servers.RabbitMQ.Start(t.Context()))
	id := newID(t)
	send(t, publisher(t, bench), submitted(id))
	require.NoError(t, bench.Servers.PostgreSQL.Start(t.Context()))
	r.ready(t)
	require.Eventually(t, func() bool { _, found := r.job(t, id); return found }, patience, poll)
}

// TestPostgreSQLReadOnlyUnderLoad has a database that answers, but takes no writes, as a demoted primary.
func TestPostgreSQLReadOnlyUnderLoad(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	r := start(t, bench, patience).ready(t)
	stop := make(chan struct{})
	ids := load(t, bench, stop)
	require.Eventually(t, func() bool { return r.counted(t, applied) }, patience, poll)
	for range 2 {
		makeReadOnly(t, bench, "on")
		require.Eventually(t, func() bool {
			return !bytes.Contains(get(t, r.admin+"/readyz?verbose").Body, []byte(`"job-store-writes":"ok"`))
		}, patience, poll)
		readable := func() bool { return get(t, r.admin+"/readyz").StatusCode == http.StatusOK } // after the lost connections
		require.Eventually(t, readable, patience, poll, "polls need no writes")
		makeReadOnly(t, bench, "off")
		r.ready(t)
	}
	close(stop)
	requireAllSucceeded(t, r, ids())
	dead, err := channel(t, bench).QueueDeclarePassive(rabbitmq.QueueDeadEvents, true, false, false, false, nil)
	require.NoError(t, err)
	require.Zero(t, dead.Messages)
}

// makeReadOnly makes the transactions of new connections to the database read-only, and ends the old ones.
func makeReadOnly(t *testing.T, bench *testbench.Bench, value string) {
	t.Helper()
	execute(t, bench, `
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = `+value+`', current_database()); END $$`)
	if value == "on" {
		execute(t, bench, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}
}
