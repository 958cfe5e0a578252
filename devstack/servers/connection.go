package servers

import "github.com/docmill/docmill/devstack/daemon"

// Connection has the addresses and credentials of the three servers. It can be passed to another process as JSON.
type Connection struct {
	// BrokerURL has neither credentials nor a vhost: amqp://127.0.0.1:20001
	BrokerURL      string `json:"broker_url"`
	ManagementURL  string `json:"management_url"`
	BrokerUsername string `json:"broker_username"`
	BrokerPassword string `json:"broker_password"`
	// DatabaseAddress is host:port.
	DatabaseAddress       string `json:"database_address"`
	DatabasePassword      string `json:"database_password"`
	DatabaseAdminPassword string `json:"database_admin_password"`
	// StoreEndpoint is a URL: http://127.0.0.1:20002
	StoreEndpoint  string `json:"store_endpoint"`
	StoreAccessKey string `json:"store_access_key"`
	StoreSecretKey string `json:"store_secret_key"`
}

// Connection returns the addresses and credentials of the servers.
func (s *Servers) Connection() Connection {
	return Connection{
		BrokerURL: s.RabbitMQ.URL, ManagementURL: s.RabbitMQ.ManagementURL,
		BrokerUsername: s.RabbitMQ.Username, BrokerPassword: s.RabbitMQ.Password,
		DatabaseAddress: s.PostgreSQL.Address, DatabasePassword: s.PostgreSQL.Password,
		DatabaseAdminPassword: s.PostgreSQL.AdminPassword,
		StoreEndpoint:         s.MinIO.Endpoint, StoreAccessKey: s.MinIO.AccessKey, StoreSecretKey: s.MinIO.SecretKey,
	}
}

// Attach returns servers that another process runs. Starting, stopping and killing them returns [daemon.ErrNotOurs].
func Attach(c Connection) *Servers {
	return &Servers{
		RabbitMQ: &RabbitMQ{
			Daemon: daemon.New(rabbitMQName, nil), URL: c.BrokerURL, ManagementURL: c.ManagementURL,
			Username: c.BrokerUsername, Password: c.BrokerPassword,
		},
		PostgreSQL: &PostgreSQL{
			Daemon: daemon.New(postgreSQLName, nil), Address: c.DatabaseAddress, Password: c.DatabasePassword,
			AdminPassword: c.DatabaseAdminPassword,
		},
		MinIO: &MinIO{
			Daemon: daemon.New(minIOName, nil), Endpoint: c.StoreEndpoint,
			AccessKey: c.StoreAccessKey, SecretKey: c.StoreSecretKey,
		},
	}
}
