package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// maxStatements bounds the statements that are kept prepared. Query texts are meant to be constants; a program has some
// dozens of them.
const maxStatements = 512

// statements runs queries as prepared statements, which it keeps: preparing one takes longer than running it.
type statements struct {
	on DBTX

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
}

func newStatements(on DBTX) *statements {
	return &statements{on: on, prepared: map[string]*sql.Stmt{}}
}

// get returns the statement; nil if it cannot be prepared or too many are.
func (s *statements) get(ctx context.Context, query string) *sql.Stmt {
	s.mu.RLock()
	statement, found := s.prepared[query]
	s.mu.RUnlock()
	if found {
		return statement
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if statement, found = s.prepared[query]; found {
		return statement
	}
	if len(s.prepared) >= maxStatements {
		return nil
	}
	statement, err := s.on.PrepareContext(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return nil // running it reports the error
	}
	s.prepared[query] = statement
	return statement
}

// ExecContext runs a statement that returns no rows.
func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if statement := s.get(ctx, query); statement != nil { //nolint:sqlclosecheck // it is kept
		return statement.ExecContext(ctx, args...)
	}
	return s.on.ExecContext(ctx, query, args...)
}

// QueryContext runs a query. The same query must not run again on the same writer before its rows are closed.
func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if statement := s.get(ctx, query); statement != nil { //nolint:sqlclosecheck // it is kept
		return statement.QueryContext(ctx, args...)
	}
	return s.on.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a query that returns at most one row.
func (s *statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if statement := s.get(ctx, query); statement != nil { //nolint:sqlclosecheck // it is kept
		return statement.QueryRowContext(ctx, args...)
	}
	return s.on.QueryRowContext(ctx, query, args...)
}

// PrepareContext prepares a statement, which the caller closes.
func (s *statements) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return s.on.PrepareContext(ctx, query)
}

func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, statement := range s.prepared {
		_ = statement.Close()
	}
	clear(s.prepared)
}
