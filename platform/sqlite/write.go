package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/docmill/docmill/platform/tracing"
)

// systemAttribute is an attribute of all spans of this package.
var systemAttribute = attribute.String("db.system.name", "sqlite")

// Durability is what a write survives once Write has returned.
type Durability int

const (
	// Relaxed writes survive the death of the process. A power loss may take the latest of them.
	Relaxed Durability = iota
	// Durable writes survive a power loss too: they are on disk.
	Durable
)

// String returns the durability's name in metrics.
func (d Durability) String() string {
	if d == Durable {
		return "durable"
	}
	return "relaxed"
}

// The states of a request.
const (
	waiting int32 = iota
	begun
	withdrawn
)

// Tx is the transaction of one write. It is valid until the function that received it returns.
type Tx struct {
	*statements

	afterCommit []func()
}

// AfterCommit has f called once the transaction is committed, before Write returns, and not at all if it fails. It is
// called even if the caller of Write has given up. f runs on the writer's goroutine and must not block.
func (tx *Tx) AfterCommit(f func()) { tx.afterCommit = append(tx.afterCommit, f) }

// request is one write.
type request struct {
	ctx        context.Context //nolint:containedctx // the caller's values, without its end
	durability Durability
	run        func(ctx context.Context, tx *Tx) error
	asked      time.Time
	tx         *Tx

	state atomic.Int32
	err   error
	done  chan struct{} // closed when err is final
}

// Write runs a function in a transaction, which it may share with other writes, and returns after the commit. If the
// function returns an error, nothing of it is stored and Write returns that error.
//
// The function runs on the writer's goroutine, and all writes wait for it: it must not block, nor call Write. Its
// context has the values of ctx but does not end with it. Errors of the database are classified; see [Classify].
//
// If ctx ends before the function has begun, it does not run, and Write returns the cause. If it has begun, Write
// returns [ErrUnknownOutcome] and the cause at once, and the write continues.
func (db *DB) Write(ctx context.Context, durability Durability, run func(ctx context.Context, tx *Tx) error) error {
	ctx, span := db.tracer.Start(ctx, "write", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(systemAttribute, attribute.Stringer("docmill.durability", durability)))
	err := db.request(ctx, durability, run)
	tracing.End(span, err)
	return err
}

// request sends a write to the writer and waits for its end.
func (db *DB) request(ctx context.Context, durability Durability, run func(ctx context.Context, tx *Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r := &request{
		ctx: context.WithoutCancel(ctx), durability: durability, run: run, asked: time.Now(), done: make(chan struct{}),
	}
	if err := db.send(ctx, r); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	if r.state.CompareAndSwap(waiting, withdrawn) {
		return context.Cause(ctx)
	}
	select {
	case <-r.done:
		return r.err
	default:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	}
}

func (db *DB) send(ctx context.Context, r *request) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	select {
	case db.writer.queue <- r:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
