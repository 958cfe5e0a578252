package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/docmill/docmill/platform/tracing"
)

const tracerName = "github.com/docmill/docmill/platform/sqlite"

// defaultReaders is the number of connections that read.
const defaultReaders = 4

// Reader runs queries on a small pool of connections that cannot write. It keeps prepared what it has run once, so
// query texts should be constants. A query holds its snapshot of the database until its rows are closed, and the log
// grows meanwhile: close them soon.
type Reader struct {
	*statements

	pool   *sql.DB
	tracer trace.Tracer
}

// QueryContext runs a query.
func (r *Reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx, span := r.span(ctx, query)
	rows, err := r.statements.QueryContext(ctx, query, args...)
	tracing.End(span, err)
	return rows, err
}

// QueryRowContext runs a query that returns at most one row.
func (r *Reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx, span := r.span(ctx, query)
	row := r.statements.QueryRowContext(ctx, query, args...)
	tracing.End(span, row.Err())
	return row
}

// span starts the span of a query.
func (r *Reader) span(ctx context.Context, query string) (context.Context, trace.Span) {
	return r.tracer.Start(ctx, cmp.Or(tracing.QueryName(query), "query"), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(systemAttribute))
}

func openReader(ctx context.Context, path string, connections int) (*Reader, error) {
	if connections == 0 {
		connections = defaultReaders
	}
	pool, err := sql.Open("sqlite", source(path, "query_only(1)"))
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &Reader{statements: newStatements(pool), pool: pool, tracer: otel.Tracer(tracerName)}, nil
}

func (r *Reader) close() error {
	r.statements.close()
	return r.pool.Close()
}
