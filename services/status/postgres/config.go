package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/tracing"
)

// Config are the settings of the connection to the database.
//
//nolint:lll // kong's tags cannot be wrapped
type Config struct {
	URL         string        `name:"url" default:"postgres://docmill@127.0.0.1:5432/docmill" help:"URL of PostgreSQL: user, host, port, database, and sslmode for TLS. With several hosts, separated by commas, the one that can be written is used, unless target_session_attrs is set. It must not contain the password, which is a separate setting."`
	Password    config.Secret `name:"password-file" help:"File with the password of the database user." placeholder:"FILE"`
	Connections int32         `name:"connections" default:"16" help:"Maximum number of connections. One more listens for changes."`
	ReadTimeout time.Duration `name:"read-timeout" default:"2s" help:"Time limit for reading one job, including the wait for a connection. After that the client is asked to retry."`
}

// Validate rejects a URL that is not one of a database, and a password in it: URLs end up in logs and process lists.
func (c Config) Validate() error {
	parsed, err := url.Parse(c.URL)
	if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" {
		return errors.New("setting database-url: not a URL such as postgres://docmill@127.0.0.1:5432/docmill")
	}
	if _, set := parsed.User.Password(); set {
		return fmt.Errorf("setting database-url: %s contains a password; set database-password instead", parsed.Redacted())
	}
	if c.Connections < 2 {
		return fmt.Errorf("setting database-connections: %d is less than 2", c.Connections)
	}
	if c.ReadTimeout <= 0 {
		return fmt.Errorf("setting database-read-timeout: %s is not positive", c.ReadTimeout)
	}
	if _, err := c.pool(); err != nil {
		return fmt.Errorf("setting database-url: %w", err)
	}
	return nil
}

const (
	// connectTimeout limits the handshakes with a database that hangs.
	connectTimeout = 5 * time.Second
	// idleInTransaction makes the database give up on a replica that vanished in the middle of a transaction, with locks
	// on jobs. TCP alone notices that after two hours.
	idleInTransaction = "30s"
)

func (c Config) pool() (*pgxpool.Config, error) {
	settings, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	settings.MaxConns = c.Connections
	connection := settings.ConnConfig
	if severalHosts(connection) && !c.choosesServer() {
		connection.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	connection.Password = c.Password.Reveal()
	connection.ConnectTimeout = connectTimeout
	connection.RuntimeParams["application_name"] = "docmill-status"
	connection.RuntimeParams["idle_in_transaction_session_timeout"] = idleInTransaction
	connection.Tracer = otelpgx.NewTracer(otelpgx.WithDisableSQLStatementInAttributes(), otelpgx.WithSpanNameCtxFunc(spanName))
	return settings, nil
}

// spanName names the span of a query.
func spanName(ctx context.Context, statement string) string {
	return cmp.Or(tracing.QueryName(statement), otelpgx.SQLOperationName(ctx, statement))
}

// choosesServer reports whether the user has set which of several hosts to connect to. The default, any of them, could be a
// standby.
func (c Config) choosesServer() bool {
	parsed, err := url.Parse(c.URL)
	return err == nil && parsed.Query().Has("target_session_attrs") || os.Getenv("PGTARGETSESSIONATTRS") != ""
}

// severalHosts reports whether there are other hosts to fall back to, not only another way to connect to the same one.
func severalHosts(c *pgx.ConnConfig) bool {
	return slices.ContainsFunc(c.Fallbacks, func(other *pgconn.FallbackConfig) bool {
		return other.Host != c.Host || other.Port != c.Port
	})
}
