package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/docmill/docmill/platform/config"
)

// Config says where the database is, who connects, and how long a reader waits for it.
type Config struct {
	URL         string        `name:"url" default:"postgres://docmill@127.0.0.1:5432/docmill" help:"URL of PostgreSQL: user, host, port, database, and sslmode for TLS. No password in it: that has a setting of its own."`
	Password    config.Secret `name:"password-file" help:"File with the password at the database." placeholder:"FILE"`
	Connections int32         `name:"connections" default:"16" help:"Most connections at the same time; one more listens for changes."`
	ReadTimeout time.Duration `name:"read-timeout" default:"2s" help:"How long one read of a state may take, with the wait for a connection, before the client is told to come back later."`
}

// Validate refuses what is no URL of a database, and a password in it: URLs end up in logs and process lists.
func (c Config) Validate() error {
	parsed, err := url.Parse(c.URL)
	if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" {
		return errors.New("setting database-url: it is no URL such as postgres://docmill@127.0.0.1:5432/docmill")
	}
	if _, set := parsed.User.Password(); set {
		return fmt.Errorf("setting database-url: %s contains a password; give it as database-password", parsed.Redacted())
	}
	if c.Connections < 2 {
		return fmt.Errorf("setting database-connections: %d is too few; the least is 2", c.Connections)
	}
	if c.ReadTimeout <= 0 {
		return fmt.Errorf("setting database-read-timeout: %s is not above zero", c.ReadTimeout)
	}
	if _, err := c.pool(); err != nil {
		return fmt.Errorf("setting database-url: %w", err)
	}
	return nil
}

const (
	// connectTimeout bounds the handshakes with a database that hangs.
	connectTimeout = 5 * time.Second
	// idleInTransaction: the database gives up on a replica that vanished in the middle of a transaction, with locks on
	// jobs. TCP alone notices that after two hours.
	idleInTransaction = "30s"
)

func (c Config) pool() (*pgxpool.Config, error) {
	settings, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	settings.MaxConns = c.Connections
	connection := settings.ConnConfig
	connection.Password = c.Password.Reveal()
	connection.ConnectTimeout = connectTimeout
	connection.RuntimeParams["application_name"] = "docmill-status"
	connection.RuntimeParams["idle_in_transaction_session_timeout"] = idleInTransaction
	connection.Tracer = otelpgx.NewTracer(otelpgx.WithDisableSQLStatementInAttributes())
	return settings, nil
}
