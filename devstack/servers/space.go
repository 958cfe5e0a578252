package servers

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"golang.org/x/sync/errgroup"
)

// Space is what one Docmill uses on the servers: a vhost, a database and two buckets, with their addresses and
// credentials.
type Space struct {
	// BrokerURL has no credentials; its path is the vhost: amqp://127.0.0.1:20001/docmill
	BrokerURL      string
	BrokerUsername string
	BrokerPassword string
	// ManagementURL is that of RabbitMQ's HTTP API, with the same credentials.
	ManagementURL string
	Vhost         string

	// DatabaseURL has no password: postgres://docmill@127.0.0.1:20002/docmill?sslmode=disable
	DatabaseURL      string
	DatabasePassword string

	// StoreEndpoint is a URL: http://127.0.0.1:20003
	StoreEndpoint  string
	StoreRegion    string
	StoreAccessKey string
	StoreSecretKey string
	SourcesBucket  string
	ResultsBucket  string

	servers *Servers
}

// Space returns the space with that name, which need not exist yet.
func (s *Servers) Space(name string) Space {
	return Space{
		BrokerURL: s.RabbitMQ.URL + "/" + name, BrokerUsername: s.RabbitMQ.Username, BrokerPassword: s.RabbitMQ.Password,
		ManagementURL: s.RabbitMQ.ManagementURL, Vhost: name,
		DatabaseURL: s.PostgreSQL.URL(name), DatabasePassword: s.PostgreSQL.Password,
		StoreEndpoint: s.MinIO.Endpoint, StoreRegion: Region,
		StoreAccessKey: s.MinIO.AccessKey, StoreSecretKey: s.MinIO.SecretKey,
		SourcesBucket: name + "-sources", ResultsBucket: name + "-results",
		servers: s,
	}
}

// Create creates the parts of the space that do not exist yet.
func (s Space) Create(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.servers.RabbitMQ.CreateVhost(ctx, s.Vhost) })
	group.Go(func() error { return s.servers.PostgreSQL.CreateDatabase(ctx, s.Vhost) })
	group.Go(func() error { return s.servers.MinIO.CreateBucket(ctx, s.SourcesBucket) })
	group.Go(func() error { return s.servers.MinIO.CreateBucket(ctx, s.ResultsBucket) })
	return group.Wait()
}

// Remove removes the space with its contents and closes connections to it.
func (s Space) Remove(ctx context.Context) error {
	return errors.Join(
		s.servers.RabbitMQ.DeleteVhost(ctx, s.Vhost),
		s.servers.PostgreSQL.DropDatabase(ctx, s.Vhost),
		s.servers.MinIO.RemoveBucket(ctx, s.SourcesBucket),
		s.servers.MinIO.RemoveBucket(ctx, s.ResultsBucket),
	)
}

// BrokerEnv returns the settings of a service for the broker.
func (s Space) BrokerEnv() []string {
	return []string{
		"DOCMILL_BROKER_URL=" + s.BrokerURL,
		"DOCMILL_BROKER_USERNAME=" + s.BrokerUsername,
		"DOCMILL_BROKER_PASSWORD=" + s.BrokerPassword,
	}
}

// StoreEnv returns the settings of a service for the object store.
func (s Space) StoreEnv() []string {
	return []string{
		"DOCMILL_STORE_ENDPOINT=" + s.StoreEndpoint,
		"DOCMILL_STORE_REGION=" + s.StoreRegion,
		"DOCMILL_STORE_ACCESS_KEY=" + s.StoreAccessKey,
		"DOCMILL_STORE_SECRET_KEY=" + s.StoreSecretKey,
		"DOCMILL_STORE_SOURCES_BUCKET=" + s.SourcesBucket,
		"DOCMILL_STORE_RESULTS_BUCKET=" + s.ResultsBucket,
	}
}

// DatabaseEnv returns the settings of a service for the database.
func (s Space) DatabaseEnv() []string {
	return []string{
		"DOCMILL_DATABASE_URL=" + s.DatabaseURL,
		"DOCMILL_DATABASE_PASSWORD=" + s.DatabasePassword,
	}
}

// SealEnv returns the setting of gateway and converter for the key that they share. The key is derived from the
// password of the broker, which is random and lives as long as the messages that were sealed with the key.
func (s Space) SealEnv() []string {
	key := sha256.Sum256([]byte("seal " + s.BrokerPassword))
	return []string{"DOCMILL_SEAL_KEY=" + base64.StdEncoding.EncodeToString(key[:])}
}

// Env returns the settings for all servers. A service rejects settings that it does not know, so pass it only those
// that it needs.
func (s Space) Env() []string {
	return append(append(s.BrokerEnv(), s.StoreEnv()...), s.DatabaseEnv()...)
}
