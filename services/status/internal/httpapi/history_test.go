package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/lifecycle"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/representation"
	"github.com/docmill/docmill/services/status/job"
)

// TestHistoriesAreLegal runs a model of gateways, queues and converters around the real fold, and checks what a client
// sees after every event. Whatever is lost, redelivered, duplicated or reordered, the history is legal, and every
// accepted job ends once, with an end that a converter has published.
func TestHistoriesAreLegal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		m.submit(t)
		t.Repeat(m.actions())
		m.settle(t)
	})
}

// model is a job in Docmill. Its converters do what package conversion does, in the same order.
type model struct {
	id    uuid.UUID
	now   time.Time
	made  int // results
	fold  job.Job
	seen  lifecycle.History
	queue []command
	// running holds the commands that converters are processing.
	running []*attempt
	// events wait in their queue. Each is delivered at least once, in any order.
	events []proto.Message
	// results are those of the published successes; failures the codes of the published failures.
	results, failures []string
}

// command is a command in its queue.
type command struct{ attempt, deliveries int32 }

// attempt is a command that a converter is processing.
type attempt struct {
	command

	began time.Time
	// published is set once the event that ends the attempt, or its retry, is durable. Then the command is acknowledged,
	// unless the converter dies before.
	published bool
}

func (a *attempt) number() int32 { return a.attempt + a.deliveries }

func newModel() *model {
	id := uuid.Must(uuid.NewV7())
	return &model{id: id, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), fold: job.New(id)}
}

// tick returns the time of the next thing that happens. The clocks of two converters differ by up to 5 s.
func (m *model) tick(t *rapid.T) *timestamppb.Timestamp {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "milliseconds")) * time.Millisecond)
	skew := time.Duration(rapid.IntRange(0, 5).Draw(t, "skew")) * time.Second
	return timestamppb.New(m.now.Add(skew))
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":                              m.check, // after each action
		"a converter takes a command":   m.take,
		"a converter reports progress":  m.progress,
		"a converter succeeds":          m.succeed,
		"a converter fails":             m.fail,
		"a converter retries":           m.retry,
		"a converter dies":              m.die,
		"a converter acknowledges":      m.acknowledge,
		"a converter returns a command": m.returnCommand,
		"an event is applied":           m.apply,
		"a command is dead-lettered":    m.deadLetter,
		"the deadline passes":           m.expire,
		"time passes":                   func(t *rapid.T) { m.tick(t) },
	}
}

// publish makes an event durable, more than once if confirmations are lost.
func (m *model) publish(t *rapid.T, event proto.Message) {
	for range 1 + rapid.IntRange(0, 2).Draw(t, "lost confirmations") {
		m.events = append(m.events, event)
	}
}

func (m *model) submit(t *rapid.T) {
	sum := sha256.Sum256([]byte("document"))
	m.publish(t, &conversionv1.ConvertRequested{
		JobId: m.id.String(), RequestedAt: timestamppb.New(m.now),
		Source: &conversionv1.Source{ObjectKey: "source", Filename: "deck.pptx", Format: "pptx", Size: 8, Sha256: sum[:]},
		Target: &conversionv1.Target{Format: "pdf"},
	})
	m.queue = append(m.queue, command{attempt: 1})
}

// draw removes an element, or returns false if there is none.
func draw[T any](t *rapid.T, from *[]T, label string) (T, bool) {
	if len(*from) == 0 {
		var none T
		return none, false
	}
	i := rapid.IntRange(0, len(*from)-1).Draw(t, label)
	drawn := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return drawn, true
}

// busy returns an attempt that has, or has not, published its outcome.
func (m *model) busy(t *rapid.T, published bool) *attempt {
	var fitting []*attempt
	for _, a := range m.running {
		if a.published == published {
			fitting = append(fitting, a)
		}
	}
	if len(fitting) == 0 {
		t.Skip("no such attempt")
	}
	return rapid.SampledFrom(fitting).Draw(t, "attempt")
}

func (m *model) drop(a *attempt) {
	m.running = slices.DeleteFunc(m.running, func(other *attempt) bool { return other == a })
}

func (m *model) take(t *rapid.T) {
	taken, found := draw(t, &m.queue, "command")
	if !found {
		t.Skip("no command")
	}
	at := m.tick(t)
	a := &attempt{command: taken, began: at.AsTime()}
	m.running = append(m.running, a)
	m.publish(t, &conversionv1.ConversionStarted{JobId: m.id.String(), Attempt: a.number(), StartedAt: at})
}

func (m *model) progress(t *rapid.T) {
	a := m.busy(t, false)
	m.publish(t, &conversionv1.ConversionProgressed{
		JobId: m.id.String(), Attempt: a.number(), Phase: conversionv1.Phase(rapid.IntRange(1, 3).Draw(t, "phase")),
		Percent: rapid.Int32Range(0, 100).Draw(t, "percent"), ProgressedAt: m.tick(t),
	})
}

func (m *model) succeed(t *rapid.T) {
	a := m.busy(t, false)
	m.made++
	sum := sha256.Sum256([]byte{byte(m.made)})
	m.results = append(m.results, hex.EncodeToString(sum[:]))
	m.publish(t, &conversionv1.ConversionSucceeded{
		JobId: m.id.String(), Attempt: a.number(), StartedAt: timestamppb.New(a.began), FinishedAt: m.tick(t),
		Result: &conversionv1.Result{ObjectKey: uuid.NewString(), ContentType: "application/pdf", Size: 1, Sha256: sum[:], Pages: 1},
	})
	a.published = true
}

func (m *model) fail(t *rapid.T) {
	a := m.busy(t, false)
	m.failures = append(m.failures, string(problem.DocumentMalformed))
	m.publish(t, &conversionv1.ConversionFailed{
		JobId: m.id.String(), Attempt: a.number(), StartedAt: timestamppb.New(a.began), FinishedAt: m.tick(t),
		Failure: &conversionv1.Failure{Code: string(problem.DocumentMalformed), Detail: "It is damaged."},
	})
	a.published = true
}

// retry publishes the next command and then the event. A converter may die in between.
func (m *model) retry(t *rapid.T) {
	a := m.busy(t, false)
	m.queue = append(m.queue, command{attempt: a.number() + 1})
	if rapid.Bool().Draw(t, "dies") {
		m.lose(a)
		return
	}
	m.publish(t, &conversionv1.ConversionRetried{
		JobId: m.id.String(), Attempt: a.number(), Failure: &conversionv1.Failure{Code: string(problem.StoreUnavailable)},
		Delay: durationpb.New(10 * time.Second), RetriedAt: m.tick(t),
	})
	a.published = true
}

// die loses a converter, or its connection: its command is redelivered. The converter may still be working.
func (m *model) die(t *rapid.T) {
	if len(m.running) == 0 {
		t.Skip("no attempt")
	}
	m.lose(rapid.SampledFrom(m.running).Draw(t, "attempt"))
}

func (m *model) lose(a *attempt) {
	m.drop(a)
	m.queue = append(m.queue, command{attempt: a.attempt, deliveries: a.deliveries + 1})
}

func (m *model) acknowledge(t *rapid.T) { m.drop(m.busy(t, true)) }

// returnCommand publishes a command again, as a converter does that stops.
func (m *model) returnCommand(t *rapid.T) {
	a := m.busy(t, false)
	m.drop(a)
	m.queue = append(m.queue, a.command)
}

// apply applies one event. It stays in the queue if its acknowledgment is lost.
func (m *model) apply(t *rapid.T) {
	event, found := draw(t, &m.events, "event")
	if !found {
		t.Skip("no event")
	}
	if rapid.IntRange(0, 9).Draw(t, "redelivery") == 0 {
		m.events = append(m.events, event)
	}
	read, err := job.Read(event)
	require.NoError(t, err)
	m.fold, _ = job.Apply(m.fold, read)
}

// failJob fails the job as the status service does.
func (m *model) failJob(attempt int32) {
	m.failures = append(m.failures, string(problem.AttemptsExhausted))
	m.fold, _ = job.Apply(m.fold, job.Fail(m.id, 0, attempt, problem.New(problem.AttemptsExhausted, "It took too long.")))
}

func (m *model) deadLetter(t *rapid.T) {
	i := slices.IndexFunc(m.queue, func(c command) bool { return c.deliveries > 4 })
	if i < 0 {
		t.Skip("no command has come back that often")
	}
	dead := m.queue[i]
	m.queue = slices.Delete(m.queue, i, i+1)
	m.failJob(dead.attempt)
}

// expire is the sweep. The watermark makes it wait until every event of the job has been applied.
func (m *model) expire(t *rapid.T) {
	if len(m.events) > 0 || rapid.IntRange(0, 4).Draw(t, "deadline") > 0 {
		t.Skip("not yet")
	}
	m.failJob(0)
}

// check is what a client sees after each step.
func (m *model) check(t *rapid.T) {
	if !m.fold.Visible() {
		return
	}
	require.NoError(t, m.seen.See(representation.Of(m.fold)))
}

// settle completes everything that has not ended, without faults, and checks the end.
func (m *model) settle(t *rapid.T) {
	for len(m.queue)+len(m.running)+len(m.events) > 0 {
		switch {
		case len(m.queue) > 0:
			m.take(t)
		case len(m.events) > 0:
			m.apply(t)
		case m.running[0].published:
			m.drop(m.running[0])
		default:
			m.succeed(t)
		}
		m.check(t)
	}
	last, seen := m.seen.Last()
	require.True(t, seen, "an accepted job is visible")
	switch last.Status {
	case jobapi.Succeeded:
		require.Contains(t, m.results, last.Result.SHA256)
	case jobapi.Failed:
		require.Contains(t, m.failures, last.Error.Code)
	default:
		t.Fatalf("the job is still %s", last.Status)
	}
}
