package testbench

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/devstack/servers"
)

// describe says what a bench of that name has on the servers, before any of it exists.
func describe(s *servers.Servers, name string) *Bench {
	return &Bench{
		BrokerURL: s.RabbitMQ.URL + "/" + name, BrokerUsername: s.RabbitMQ.Username, BrokerPassword: s.RabbitMQ.Password,
		ManagementURL: s.RabbitMQ.ManagementURL, Vhost: name,
		DatabaseURL: s.PostgreSQL.URL(name), DatabasePassword: s.PostgreSQL.Password,
		StoreEndpoint: s.MinIO.Endpoint, StoreRegion: servers.Region,
		StoreAccessKey: s.MinIO.AccessKey, StoreSecretKey: s.MinIO.SecretKey,
		SourcesBucket: name + "-sources", ResultsBucket: name + "-results",
		Servers: s,
	}
}

func (b *Bench) create(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.Servers.RabbitMQ.CreateVhost(ctx, b.Vhost) })
	group.Go(func() error { return b.Servers.PostgreSQL.CreateDatabase(ctx, b.Vhost) })
	group.Go(func() error { return b.Servers.MinIO.CreateBucket(ctx, b.SourcesBucket) })
	group.Go(func() error { return b.Servers.MinIO.CreateBucket(ctx, b.ResultsBucket) })
	return group.Wait()
}

func (b *Bench) remove(ctx context.Context) error {
	return errors.Join(
		b.Servers.RabbitMQ.DeleteVhost(ctx, b.Vhost),
		b.Servers.PostgreSQL.DropDatabase(ctx, b.Vhost),
		b.Servers.MinIO.RemoveBucket(ctx, b.SourcesBucket),
		b.Servers.MinIO.RemoveBucket(ctx, b.ResultsBucket),
	)
}

// BrokerEnv is the broker as settings of a service.
func (b *Bench) BrokerEnv() []string {
	return []string{
		"DOCMILL_BROKER_URL=" + b.BrokerURL,
		"DOCMILL_BROKER_USERNAME=" + b.BrokerUsername,
		"DOCMILL_BROKER_PASSWORD=" + b.BrokerPassword,
	}
}

// StoreEnv is the object store as settings of a service.
func (b *Bench) StoreEnv() []string {
	return []string{
		"DOCMILL_STORE_ENDPOINT=" + b.StoreEndpoint,
		"DOCMILL_STORE_REGION=" + b.StoreRegion,
		"DOCMILL_STORE_ACCESS_KEY=" + b.StoreAccessKey,
		"DOCMILL_STORE_SECRET_KEY=" + b.StoreSecretKey,
		"DOCMILL_STORE_SOURCES_BUCKET=" + b.SourcesBucket,
		"DOCMILL_STORE_RESULTS_BUCKET=" + b.ResultsBucket,
	}
}

// DatabaseEnv is the database as settings of a service.
func (b *Bench) DatabaseEnv() []string {
	return []string{
		"DOCMILL_DATABASE_URL=" + b.DatabaseURL,
		"DOCMILL_DATABASE_PASSWORD=" + b.DatabasePassword,
	}
}

// Env is all of it. A service refuses settings that it does not have, so give it only its own parts.
func (b *Bench) Env() []string {
	return append(append(b.BrokerEnv(), b.StoreEnv()...), b.DatabaseEnv()...)
}
