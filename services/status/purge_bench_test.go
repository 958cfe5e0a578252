package status_test

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// BenchmarkPollsDuringPurge measures how long polls take before and while expired jobs are deleted: EXPIRED of them, 100,000 by
// default.
func BenchmarkPollsDuringPurge(b *testing.B) {
	expired := 100_000
	if set, err := strconv.Atoi(os.Getenv("EXPIRED")); err == nil {
		expired = set
	}
	bench := testbench.New(b)
	r := start(b, bench, patience).ready(b)
	id := newID(b)
	send(b, publisher(b, bench), submitted(id))
	r.ready(b)
	database := postgrestest.Connect(b, postgrestest.Config(bench))
	_, err := database.Exec(b.Context(), `
		INSERT INTO jobs (id, version, status, finished_at, requested_at, expires_at, source_expires_at,
			source_key, source_filename, source_format, source_content_type, source_size, source_sha256, target_format)
		SELECT gen_random_uuid(), 3, 'failed', now() - interval '2 days', now() - interval '2 days', now() - interval '1 day', now() - interval '1 day',
			gen_random_uuid()::text, 'deck.pptx', 'pptx', 'application/x', 3, '\x0102', 'pdf'
		FROM generate_series(1, $1::integer)`, expired)
	require.NoError(b, err)
	_, err = database.Exec(b.Context(), "VACUUM ANALYZE jobs")
	require.NoError(b, err)
	const measured = 15 * time.Second
	before := polls(b, r.url+jobapi.Path(id), measured)
	_, err = database.Exec(b.Context(), "UPDATE jobs SET due_at = expires_at WHERE status = 'failed'")
	require.NoError(b, err)
	left := rest(b, database)
	began := time.Now()
	during := polls(b, r.url+jobapi.Path(id), measured)
	purged := left - rest(b, database)
	b.ReportMetric(float64(purged)/time.Since(began).Seconds(), "purged/s")
	for name, took := range map[string][]time.Duration{"before": before, "during": during} {
		b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms-p50-"+name)
		b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "ms-p99-"+name)
	}
	b.ReportMetric(0, "ns/op")
}

// rest returns how many jobs have files that are to be deleted.
func rest(b *testing.B, database *pgx.Conn) int {
	b.Helper()
	var left int
	require.NoError(b, database.QueryRow(context.WithoutCancel(b.Context()), "SELECT count(*) FROM jobs WHERE status = 'failed' AND NOT files_deleted").Scan(&left))
	return left
}

// polls requests a job with four clients for that long, and returns how long each poll took, the shortest first.
func polls(b *testing.B, url string, lasting time.Duration) []time.Duration {
	b.Helper()
	const clients, pause = 4, 5 * time.Millisecond
	var mutex sync.Mutex
	var all []time.Duration
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			var took []time.Duration
			for end := time.Now().Add(lasting); time.Now().Before(end); time.Sleep(pause) {
				began := time.Now()
				if got := get(b, url); got.StatusCode == http.StatusOK {
					took = append(took, time.Since(began))
				}
			}
			mutex.Lock()
			defer mutex.Unlock()
			all = append(all, took...)
		})
	}
	running.Wait()
	require.NotEmpty(b, all)
	slices.Sort(all)
	return all
}
