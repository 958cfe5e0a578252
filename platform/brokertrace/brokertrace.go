// Package brokertrace defines the spans of publishers and consumers. They follow OpenTelemetry's semantic conventions for
// messaging and are the same for every broker.
//
// The span of a publication is the parent of whatever handles the message: its handling, and the handling of each redelivery
// and of each later attempt, which is published again by the previous one. Reports of progress have no spans: a conversion
// may publish hundreds, and each is outdated by the next.
package brokertrace

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/tracing"
)

// Tracer makes the spans of one broker. It is safe for concurrent use.
type Tracer struct {
	tracer trace.Tracer
	system attribute.KeyValue
}

// New returns the tracer of a broker, whose name is the value of messaging.system.
func New(system string) Tracer {
	return Tracer{
		tracer: otel.Tracer("github.com/docmill/docmill/platform/brokertrace"), system: attribute.String("messaging.system", system),
	}
}

// Send calls publish, which publishes the message, with the span of the publication in its context.
func (t Tracer) Send(ctx context.Context, m message.Message, publish func(context.Context) error) error {
	if m.Body == nil {
		return publish(ctx) // which reports it
	}
	queues, routed := message.QueuesFor(m)
	if !routed || queues[0] == message.Progress {
		return publish(ctx)
	}
	names := make([]string, len(queues))
	for i, queue := range queues {
		names[i] = queue.String()
	}
	ctx, span := t.tracer.Start(ctx, "send "+string(proto.MessageName(m.Body).Name()),
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(t.system,
			attribute.String("messaging.operation.type", "send"), attribute.String("messaging.operation.name", "send"),
			attribute.String("messaging.destination.name", strings.Join(names, ","))),
		trace.WithAttributes(ofJob(m.JobID)...))
	err := publish(ctx)
	tracing.End(span, err)
	return err
}

// Process starts the span of the handling of a delivery. ctx has the trace of the message.
func (t Tracer) Process(ctx context.Context, from message.Queue, d *message.Delivery, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	if from == message.Progress {
		return ctx, trace.SpanFromContext(context.Background())
	}
	attributes := append(t.processing(from), attribute.String("messaging.message.id", d.ID),
		attribute.Int("messaging.message.body.size", len(d.Body)), attribute.Int("docmill.redeliveries", d.DeliveryCount))
	options = append(options, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attributes...),
		trace.WithAttributes(ofJob(d.JobID)...))
	return t.tracer.Start(ctx, "process "+nameOf(d), options...)
}

// ProcessBatch starts the span of the handling of a batch. If the whole batch belongs to one trace, so does the span.
// Otherwise it begins a trace and is linked to those of the messages. The caller calls end once, with the error of the
// handling. If that is nil, end also records in the trace of each message that it was handled as a part of the batch.
func (t Tracer) ProcessBatch(ctx context.Context, from message.Queue, batch []*message.Delivery) (in context.Context, end func(error)) {
	if from == message.Progress {
		return ctx, func(error) {}
	}
	began := time.Now()
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(t.processing(from)...),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(batch))),
	}
	messages, links := sampledOf(batch)
	if oneTrace(links) {
		ctx = trace.ContextWithRemoteSpanContext(ctx, links[0].SpanContext)
		links = links[1:]
	}
	ctx, span := t.tracer.Start(ctx, "process "+from.String(), append(options, trace.WithLinks(links...))...)
	return ctx, func(err error) {
		if err == nil {
			t.processed(ctx, began, from, messages)
		}
		tracing.End(span, err)
	}
}

// processed records the handling of messages whose traces are sampled. batch has the span of the batch, which began then.
func (t Tracer) processed(batch context.Context, began time.Time, from message.Queue, messages []*message.Delivery) {
	link := trace.WithLinks(trace.LinkFromContext(batch))
	for _, d := range messages {
		_, span := t.Process(d.Context(context.Background()), from, d, link, trace.WithTimestamp(began))
		outcome := message.Ack
		if d.DeadLettered() {
			outcome = message.DeadLetter
		}
		span.SetAttributes(Outcome(outcome))
		span.End()
	}
}

// Outcome is the attribute of what happened to a delivery.
func Outcome(outcome message.Outcome) attribute.KeyValue {
	return attribute.String("docmill.outcome", outcome.String())
}

func (t Tracer) processing(from message.Queue) []attribute.KeyValue {
	return []attribute.KeyValue{
		t.system, attribute.String("messaging.operation.type", "process"), attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.destination.name", from.String()),
	}
}

// ofJob returns the attributes of a message about a job. A job is a conversation in the terms of the conventions.
func ofJob(id string) []attribute.KeyValue {
	if id == "" {
		return nil
	}
	return []attribute.KeyValue{tracing.JobID(id), attribute.String("messaging.message.conversation_id", id)}
}

// nameOf returns the name of the message without its package. Unknown types do not make names of their own.
func nameOf(d *message.Delivery) string {
	if known, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(d.Type)); err == nil {
		return string(known.Descriptor().Name())
	}
	return "unknown"
}

// sampledOf returns those of the messages that are sampled, and links to them.
func sampledOf(batch []*message.Delivery) (messages []*message.Delivery, links []trace.Link) {
	for _, d := range batch {
		if link := trace.LinkFromContext(d.Context(context.Background())); link.SpanContext.IsSampled() {
			messages, links = append(messages, d), append(links, link)
		}
	}
	return messages, links
}

// oneTrace reports whether there are links, all to the same trace.
func oneTrace(links []trace.Link) bool {
	for _, link := range links {
		if link.SpanContext.TraceID() != links[0].SpanContext.TraceID() {
			return false
		}
	}
	return len(links) > 0
}
