package acceptance_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/testbench"
)

// TestRejectedSubmissionLeavesNothing: RabbitMQ puts the submission into the queue of the events even if the queue of the
// commands is full. There is no job and no document afterwards, and the accepted jobs are not affected.
func TestRejectedSubmissionLeavesNothing(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	b := setupServices(t, bench)
	require.NoError(t, b.system.Converter.Stop(b.ctx))
	limitCommands(t, bench, 1)

	accepted := map[string]client.Job{}
	// The limit is effective a moment after the policy is set, and a quorum queue accepts a few messages more.
	require.Eventually(t, func() bool {
		job, err := b.client.Submit(b.ctx, "letter.txt", strings.NewReader("A letter."), 9)
		if err == nil {
			accepted[job.ID] = job
			return false
		}
		var problem *client.Problem
		require.ErrorAs(t, err, &problem)
		require.Equal(t, client.Code("queue-unavailable"), problem.Code)
		return true
	}, patience, time.Millisecond)

	database := connectDatabase(t, bench)
	rejected := ""
	require.Eventually(t, func() bool { // the rows of withdrawn jobs remain for an hour
		rows, err := database.Query(b.ctx, "SELECT id::text FROM jobs WHERE withdrawn AND requested_at IS NOT NULL")
		require.NoError(t, err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		if len(ids) == 1 {
			rejected = ids[0]
		}
		return rejected != ""
	}, time.Minute, 20*time.Millisecond)
	require.NotContains(t, accepted, rejected)
	_, err := b.client.Job(b.ctx, rejected)
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeStatusUnavailable, problem.Code, "new unknown ids are not reported as not found at once")
	require.Len(t, storedSources(t, bench), len(accepted), "the document is gone")

	require.NoError(t, b.system.Converter.Start(b.ctx))
	for _, job := range accepted {
		b.succeed(t, job)
	}
}

// limitCommands sets the number of waiting commands beyond which the broker rejects more.
func limitCommands(t *testing.T, bench *testbench.Bench, n int) {
	t.Helper()
	management, err := rabbithole.NewClient(bench.ManagementURL, bench.BrokerUsername, bench.BrokerPassword)
	require.NoError(t, err)
	response, err := management.PutPolicy(bench.Vhost, "full", rabbithole.Policy{
		Pattern: `^docmill\.convert\.v`, ApplyTo: "queues", Definition: rabbithole.PolicyDefinition{"max-length": n},
	})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

func connectDatabase(t *testing.T, bench *testbench.Bench) *pgx.Conn {
	t.Helper()
	settings, err := pgx.ParseConfig(bench.DatabaseURL)
	require.NoError(t, err)
	settings.Password = bench.DatabasePassword
	connection, err := pgx.ConnectConfig(t.Context(), settings)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close(t.Context()) })
	return connection
}

// storedSources returns the keys of the uploaded documents.
func storedSources(t *testing.T, bench *testbench.Bench) []string {
	t.Helper()
	store, err := minio.New(strings.TrimPrefix(bench.StoreEndpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(bench.StoreAccessKey, bench.StoreSecretKey, ""), Region: bench.StoreRegion,
	})
	require.NoError(t, err)
	var keys []string
	for object := range store.ListObjects(t.Context(), bench.SourcesBucket, minio.ListObjectsOptions{Recursive: true}) {
		require.NoError(t, object.Err)
		if !strings.Contains(object.Key, "/") { // others are not documents
			keys = append(keys, object.Key)
		}
	}
	return keys
}
