package broker

import (
	"errors"
	"fmt"
	"net/url"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/docmill/docmill/platform/config"
)

// Config says where the broker is and who connects.
type Config struct {
	URL      string        `name:"url" default:"amqp://127.0.0.1:5672/" help:"URL of RabbitMQ, amqp or amqps for TLS; its path is the virtual host. No user name or password in it: they have settings of their own."`
	Username string        `name:"username" default:"guest" help:"User name at the broker."`
	Password config.Secret `name:"password-file" help:"File with the password at the broker." placeholder:"FILE"`
}

// Validate refuses what is no URL of a broker, and credentials in it: URLs end up in logs and process lists.
func (c Config) Validate() error {
	parsed, err := url.Parse(c.URL)
	if err != nil || parsed.Host == "" || parsed.Scheme != "amqp" && parsed.Scheme != "amqps" {
		return errors.New("setting broker-url: it is no URL such as amqp://127.0.0.1:5672/")
	}
	if parsed.User != nil {
		return fmt.Errorf("setting broker-url: %s contains credentials; give them as broker-username and broker-password", parsed.Redacted())
	}
	if _, err := amqp.ParseURI(c.URL); err != nil {
		return fmt.Errorf("setting broker-url: %w", err)
	}
	return nil
}
