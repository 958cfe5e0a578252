// Package withdrawal withdraws submissions that were rejected although the status service may have received them: if the
// queue of the commands is full, the queue of the events may hold the submission, which must not become a job.
package withdrawal

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/retry"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// maxPending is the number of withdrawals that may wait for the queue; each takes about 10 KiB of memory. A message is
// rejected only while the connection works, so more than max-uploads wait only if it is lost again and again.
const maxPending = 1000

// repeated is how often and how long a withdrawal is tried until the queue has it.
var repeated = retry.Policy{Initial: 100 * time.Millisecond, Max: 30 * time.Second, GiveUp: time.Hour}

// Publisher publishes a message and returns nil once it is durable; see [message.Publisher].
type Publisher interface {
	Publish(ctx context.Context, m message.Message) error
}

// Withdrawals publishes withdrawals in the background. It is safe for concurrent use. It is a component of package host
// that must be stopped before its publisher, and after what calls Add.
type Withdrawals struct {
	publisher Publisher
	log       *zap.Logger
	outcomes  *prometheus.CounterVec
	// pending has an entry for each withdrawal in progress.
	pending chan struct{}
	ended   context.Context //nolint:containedctx // the withdrawals end with it
	end     context.CancelFunc
}

// New returns withdrawals that are published with publisher.
func New(publisher Publisher, log *zap.Logger, registry prometheus.Registerer) *Withdrawals {
	w := &Withdrawals{publisher: publisher, log: log, pending: make(chan struct{}, maxPending)}
	w.ended, w.end = context.WithCancel(context.Background())
	w.outcomes = promauto.With(registry).NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: "gateway", Name: "withdrawals_total",
		Help: "Rejected submissions that had to be withdrawn, by outcome: published or failed. A failed one remains as a job until its deadline.",
	}, []string{"outcome"})
	for _, outcome := range []string{"published", "failed"} { // an alert needs the series before its first value
		w.outcomes.WithLabelValues(outcome)
	}
	return w
}

// Add begins to withdraw the submission of a job, and does not wait for the outcome. It does not end with ctx, which
// carries the trace.
func (w *Withdrawals) Add(ctx context.Context, jobID, submissionID string) {
	select {
	case w.pending <- struct{}{}:
	default:
		w.settle(ctx, jobID, errors.New("too many withdrawals wait for the queue"))
		return
	}
	withdrawing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	release := context.AfterFunc(w.ended, cancel) //nolint:contextcheck // the withdrawal belongs to the service
	body := &conversionv1.SubmissionWithdrawn{JobId: jobID, SubmissionId: submissionID, WithdrawnAt: timestamppb.Now()}
	go func() {
		defer func() { <-w.pending }()
		defer cancel()
		defer release()
		w.settle(ctx, jobID, w.publish(withdrawing, body))
	}()
}

func (w *Withdrawals) publish(ctx context.Context, body *conversionv1.SubmissionWithdrawn) error {
	const what = "a rejected submission could not be withdrawn; retrying"
	return retry.Loop(ctx, repeated, w.log.With(logging.JobID(body.GetJobId())), what, func(ctx context.Context) error {
		err := w.publisher.Publish(ctx, message.Message{Body: body, JobID: body.GetJobId()})
		if errors.Is(err, message.ErrUnpublishable) {
			return retry.Permanent(err)
		}
		return err
	})
}

func (w *Withdrawals) settle(ctx context.Context, jobID string, err error) {
	outcome := "published"
	if err != nil {
		outcome = "failed"
		w.log.Error("a rejected submission was not withdrawn; it may remain as a job until its deadline",
			logging.JobID(jobID), logging.Trace(ctx), zap.Error(err))
	}
	w.outcomes.WithLabelValues(outcome).Inc()
}

// Run waits, when drain is closed, until nothing is pending. When ctx ends, what is pending is abandoned.
func (w *Withdrawals) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	defer w.end()
	ready()
	select {
	case <-drain:
	case <-ctx.Done():
	}
	for range cap(w.pending) { // all entries are free once nothing is pending
		select {
		case w.pending <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
