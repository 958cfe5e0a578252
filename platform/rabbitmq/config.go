package rabbitmq

import (
	"errors"
	"fmt"
	"net/url"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/docmill/docmill/platform/config"
)

// Config configures the connection to the broker.
type Config struct {
	URL      string        `name:"url" default:"amqp://127.0.0.1:5672/" help:"URL of RabbitMQ, with the scheme amqp, or amqps for TLS; its path is the virtual host. User name and password are separate settings."`
	Username string        `name:"username" default:"guest" help:"RabbitMQ user name."`
	Password config.Secret `name:"password-file" help:"File with the RabbitMQ password." placeholder:"FILE"`
}

// Validate returns an error if the URL is not that of a broker, or contains credentials: URLs end up in logs and
// process lists.
func (c Config) Validate() error {
	parsed, err := url.Parse(c.URL)
	if err != nil || parsed.Host == "" || parsed.Scheme != "amqp" && parsed.Scheme != "amqps" {
		return errors.New("setting broker-url: not a URL such as amqp://127.0.0.1:5672/")
	}
	if parsed.User != nil {
		return fmt.Errorf("setting broker-url: %s contains credentials; use broker-username and broker-password instead",
			parsed.Redacted())
	}
	if _, err := amqp.ParseURI(c.URL); err != nil {
		return fmt.Errorf("setting broker-url: %w", err)
	}
	return nil
}
