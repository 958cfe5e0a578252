package servers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/servers"
)

const patience = 4 * time.Minute

// stateDir creates a directory that the user postgres can reach, which t.TempDir does not under every umask.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "servers-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func start(t *testing.T, options servers.Options) *servers.Servers {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := servers.Start(ctx, options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(t.Context())) })
	return s
}

func TestDataSurvivesStopAndKill(t *testing.T) {
	t.Parallel()
	s := start(t, servers.Options{})
	require.NoError(t, s.RabbitMQ.CreateVhost(t.Context(), "kept"))
	require.NoError(t, s.PostgreSQL.CreateDatabase(t.Context(), "kept"))
	require.NoError(t, s.MinIO.CreateBucket(t.Context(), "kept"))
	before := s.Connection()

	for _, down := range []func(*daemon.Daemon) error{
		func(one *daemon.Daemon) error { return one.Kill() },
		func(one *daemon.Daemon) error { return one.Stop(t.Context()) },
	} {
		var group errgroup.Group
		for _, one := range s.Daemons() {
			group.Go(func() error { return restart(t.Context(), one, down) })
		}
		require.NoError(t, group.Wait())
		kept(t, s, "kept")
	}
	require.Equal(t, before, s.Connection())
}

func restart(ctx context.Context, one *daemon.Daemon, down func(*daemon.Daemon) error) error {
	exited := one.Exited()
	if err := down(one); err != nil {
		return err
	}
	<-exited
	if one.Err() == nil {
		return fmt.Errorf("%s ended without an error", one.Name())
	}
	// Starting a running daemon does nothing.
	return errors.Join(one.Start(ctx), one.Start(ctx), one.Err())
}

// kept requires that the vhost, the database and the bucket with that name exist.
func kept(t *testing.T, s *servers.Servers, name string) {
	t.Helper()
	broker, err := rabbithole.NewClient(s.RabbitMQ.ManagementURL, s.RabbitMQ.Username, s.RabbitMQ.Password)
	require.NoError(t, err)
	_, err = broker.ListExchangesIn(name) // GetVhost cannot decode the answer of RabbitMQ 4.0
	require.NoError(t, err)

	config, err := pgx.ParseConfig(s.PostgreSQL.URL(name))
	require.NoError(t, err)
	config.Password = s.PostgreSQL.Password
	database, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, database.Close(t.Context()))

	store, err := minio.New(strings.TrimPrefix(s.MinIO.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(s.MinIO.AccessKey, s.MinIO.SecretKey, ""), Region: servers.Region,
	})
	require.NoError(t, err)
	exists, err := store.BucketExists(t.Context(), name)
	require.NoError(t, err)
	require.True(t, exists)
}

func TestDirectoryIsReusedByOneProcessAtATime(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	first := start(t, servers.Options{Dir: dir, Durable: true})
	require.NoError(t, first.RabbitMQ.CreateVhost(t.Context(), "kept"))
	require.NoError(t, first.PostgreSQL.CreateDatabase(t.Context(), "kept"))
	require.NoError(t, first.MinIO.CreateBucket(t.Context(), "kept"))
	_, err := servers.Start(t.Context(), servers.Options{Dir: dir})
	require.ErrorIs(t, err, servers.ErrInUse)
	require.NoError(t, first.Stop(t.Context()))
	require.Empty(t, processesOf(t, dir))

	// Another process takes the port of the broker.
	address := strings.TrimPrefix(first.RabbitMQ.URL, "amqp://")
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })

	second := start(t, servers.Options{Dir: dir, Durable: true})
	kept(t, second, "kept")
	require.NotEqual(t, first.RabbitMQ.URL, second.RabbitMQ.URL)
	require.Equal(t, first.MinIO.Endpoint, second.MinIO.Endpoint, "free ports are kept")
}

func TestTwoSetsRunSideBySideAndLeaveNothing(t *testing.T) {
	t.Parallel()
	first, second := start(t, servers.Options{}), start(t, servers.Options{})
	require.NoError(t, first.RabbitMQ.CreateVhost(t.Context(), "same"))
	require.NoError(t, second.RabbitMQ.CreateVhost(t.Context(), "same"))
	require.NotEmpty(t, processesOf(t, first.Dir()))

	require.NoError(t, first.Stop(t.Context()))
	require.Empty(t, processesOf(t, first.Dir()))
	require.NoDirExists(t, first.Dir())
	require.NoError(t, second.PostgreSQL.CreateDatabase(t.Context(), "still-there"))
	require.NoError(t, second.Stop(t.Context()))
	require.Empty(t, processesOf(t, second.Dir()))
}

// TestClusterReplicatesQuorumQueues kills the node that leads a queue: another one takes over.
func TestClusterReplicatesQuorumQueues(t *testing.T) {
	t.Parallel()
	s := start(t, servers.Options{BrokerNodes: 3})
	require.NoError(t, s.RabbitMQ.CreateVhost(t.Context(), "test"))
	declare := func(node *servers.RabbitMQ) rabbithole.DetailedQueueInfo {
		client, err := rabbithole.NewClient(node.ManagementURL, node.Username, node.Password)
		require.NoError(t, err)
		response, err := client.DeclareQueue("test", "queue", rabbithole.QueueSettings{
			Durable: true, Arguments: map[string]any{"x-queue-type": "quorum"},
		})
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		queue, err := client.GetQueue("test", "queue")
		require.NoError(t, err)
		return *queue
	}
	require.Len(t, declare(s.RabbitMQ).Members, 3)
	require.Equal(t, s.RabbitMQ.Node(), declare(s.RabbitMQ).Leader)
	require.NoError(t, s.RabbitMQ.Kill())
	leads := func() bool { return declare(s.Brokers[1]).Leader != s.RabbitMQ.Node() }
	require.Eventually(t, leads, patience, 100*time.Millisecond)
	require.NoError(t, s.RabbitMQ.Start(t.Context()))
}

func TestCanceledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	_, err := servers.Start(ctx, servers.Options{Dir: dir})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, processesOf(t, dir))
	s := start(t, servers.Options{Dir: dir})
	require.NoError(t, s.Stop(t.Context()), "an interrupted start leaves a usable directory")
}

// processesOf returns processes with the directory in their command line or environment, as all servers have.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	found := func() (list []string) {
		processes, err := filepath.Glob("/proc/[0-9]*")
		require.NoError(t, err)
		for _, one := range processes {
			command, _ := os.ReadFile(filepath.Join(one, "cmdline"))
			environment, _ := os.ReadFile(filepath.Join(one, "environ"))
			if bytes.Contains(command, []byte(dir)) || bytes.Contains(environment, []byte(dir)) {
				list = append(list, string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
			}
		}
		return list
	}
	// Helper processes of a killed Erlang node end by themselves, shortly after their pipe breaks.
	for deadline := time.Now().Add(5 * time.Second); len(found()) > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	return found()
}
