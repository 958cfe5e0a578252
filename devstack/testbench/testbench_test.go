package testbench_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/testbench"
)

func TestMain(m *testing.M) { testbench.Main(m) }

func TestBenchesAreIsolated(t *testing.T) {
	t.Parallel()
	first, second := testbench.New(t), testbench.New(t)
	require.NotEqual(t, first.BrokerURL, second.BrokerURL)

	execute(t, first, "CREATE TABLE only_here (id int)")
	execute(t, second, "CREATE TABLE only_here (id int)")

	store(t, first).put(t, first.SourcesBucket)
	require.Equal(t, 1, store(t, first).count(t, first.SourcesBucket))
	require.Zero(t, store(t, second).count(t, second.SourcesBucket))

	queue(t, first, "only-here")
	require.Len(t, queues(t, first), 1)
	require.Empty(t, queues(t, second))
}

func TestBenchIsRemovedWithItsTest(t *testing.T) { //nolint:tparallel // waits for the end of the inner test
	t.Parallel()
	var gone *testbench.Bench
	t.Run("a test", func(t *testing.T) {
		gone = testbench.New(t)
		execute(t, gone, "CREATE TABLE item (id int)")
		store(t, gone).put(t, gone.ResultsBucket)
		queue(t, gone, "some")
	})

	removed := func() bool {
		exists, err := store(t, gone).BucketExists(t.Context(), gone.ResultsBucket) // it is removed last
		return err == nil && !exists
	}
	require.Eventually(t, removed, time.Minute, 50*time.Millisecond)
	_, err := connect(t, gone)
	require.ErrorContains(t, err, "does not exist")
	_, err = management(t, gone).GetVhost(gone.Vhost)
	require.Error(t, err)
}

func TestSharedServersCannotBeStoppedThroughAConnection(t *testing.T) {
	t.Parallel()
	attached := servers.Attach(testbench.New(t).Servers.Connection())
	require.ErrorIs(t, attached.RabbitMQ.Kill(), daemon.ErrNotOurs)
	require.ErrorIs(t, attached.Stop(t.Context()), daemon.ErrNotOurs)
	require.NoError(t, attached.PostgreSQL.CreateDatabase(t.Context(), "attached"))
	require.NoError(t, attached.PostgreSQL.DropDatabase(t.Context(), "attached"))
}

func TestEnvNamesEverySetting(t *testing.T) {
	t.Parallel()
	for _, setting := range testbench.New(t).Env() {
		name, value, _ := strings.Cut(setting, "=")
		require.True(t, strings.HasPrefix(name, "DOCMILL_"), name)
		require.NotEmpty(t, value, name)
	}
}

func connect(t *testing.T, b *testbench.Bench) (*pgx.Conn, error) {
	t.Helper()
	config, err := pgx.ParseConfig(b.DatabaseURL)
	require.NoError(t, err)
	config.Password = b.DatabasePassword
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return pgx.ConnectConfig(ctx, config)
}

func execute(t *testing.T, b *testbench.Bench, statement string) {
	t.Helper()
	connection, err := connect(t, b)
	require.NoError(t, err)
	defer connection.Close(context.WithoutCancel(t.Context()))
	_, err = connection.Exec(t.Context(), statement)
	require.NoError(t, err)
}

type objects struct{ *minio.Client }

func store(t *testing.T, b *testbench.Bench) objects {
	t.Helper()
	client, err := minio.New(strings.TrimPrefix(b.StoreEndpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(b.StoreAccessKey, b.StoreSecretKey, ""), Region: b.StoreRegion,
	})
	require.NoError(t, err)
	return objects{client}
}

func (o objects) put(t *testing.T, bucket string) {
	t.Helper()
	_, err := o.PutObject(t.Context(), bucket, "key", strings.NewReader("text"), 4, minio.PutObjectOptions{})
	require.NoError(t, err)
}

func (o objects) count(t *testing.T, bucket string) int {
	t.Helper()
	n := 0
	for object := range o.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		require.NoError(t, object.Err)
		n++
	}
	return n
}

func management(t *testing.T, b *testbench.Bench) *rabbithole.Client {
	t.Helper()
	client, err := rabbithole.NewClient(b.ManagementURL, b.BrokerUsername, b.BrokerPassword)
	require.NoError(t, err)
	return client
}

func queue(t *testing.T, b *testbench.Bench, name string) {
	t.Helper()
	response, err := management(t, b).DeclareQueue(b.Vhost, name, rabbithole.QueueSettings{
		Durable: true, Arguments: map[string]any{"x-queue-type": "quorum"},
	})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

func queues(t *testing.T, b *testbench.Bench) []rabbithole.QueueInfo {
	t.Helper()
	list, err := management(t, b).ListQueuesIn(b.Vhost)
	require.NoError(t, err)
	return list
}
