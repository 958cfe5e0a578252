package status_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/devstack/testbench"
)

// BenchmarkEvents measures events per second through RabbitMQ and PostgreSQL, four per job, from the publication of the
// first event to the state that the last one leads to. Publisher, servers and service share the machine.
func BenchmarkEvents(b *testing.B) {
	bench := testbench.New(b)
	r := start(b, bench, patience).ready(b)
	p := publisher(b, bench)
	const perJob, clients = 4, 64
	jobs := max(b.N/perJob, 1)
	ids := make([]string, jobs)
	for i := range ids {
		ids[i] = newID(b)
	}
	b.ResetTimer()
	var publishing errgroup.Group
	publishing.SetLimit(clients)
	for _, id := range ids {
		publishing.Go(func() error {
			send(b, p, submitted(id))
			send(b, p, life(id)...)
			return nil
		})
	}
	require.NoError(b, publishing.Wait())
	published := b.Elapsed()
	require.Equal(b, jobapi.Succeeded, r.ended(b, ids[jobs-1]).Status)
	b.ReportMetric(float64(jobs*perJob)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric((b.Elapsed() - published).Seconds(), "s-behind")
}

// BenchmarkRecorded measures how long a gateway waits after it has published a submission until clients can see the
// job. There is one client, which submits one job after another.
func BenchmarkRecorded(b *testing.B) {
	bench := testbench.New(b)
	r := start(b, bench, patience).ready(b)
	p := publisher(b, bench)
	for b.Loop() {
		id := newID(b)
		send(b, p, submitted(id))
		require.Equal(b, http.StatusOK, get(b, r.url+"/internal/jobs/"+id+"/recorded?wait=60s").StatusCode)
	}
}

// BenchmarkPolls measures polls per second over HTTP for a job that no longer changes, without and with If-None-Match.
func BenchmarkPolls(b *testing.B) {
	bench := testbench.New(b)
	r := start(b, bench, patience).ready(b)
	id := newID(b)
	p := publisher(b, bench)
	send(b, p, submitted(id))
	send(b, p, life(id)...)
	r.ended(b, id)
	tag := get(b, r.url+jobapi.Path(id)).Header.Get("ETag")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	for name, known := range map[string]string{"200": "", "304": tag} {
		b.Run(name, func(b *testing.B) {
			var failures atomic.Int64
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					request, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, r.url+jobapi.Path(id), http.NoBody)
					if known != "" {
						request.Header.Set("If-None-Match", known)
					}
					response, err := client.Do(request)
					if err != nil || response.StatusCode/100 == 5 {
						failures.Add(1)
						continue
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			})
			require.Zero(b, failures.Load())
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "polls/s")
		})
	}
}
