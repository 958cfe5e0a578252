package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// defaultReaders is the number of connections that read.
const defaultReaders = 4

// Reader runs queries on a small pool of connections that cannot write. It keeps prepared what it has run once, so
// query texts should be constants. A query holds its snapshot of the database until its rows are closed, and the log
// grows meanwhile: close them soon.
type Reader struct {
	*statements

	pool *sql.DB
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
	return &Reader{statements: newStatements(pool), pool: pool}, nil
}

func (r *Reader) close() error {
	r.statements.close()
	return r.pool.Close()
}
