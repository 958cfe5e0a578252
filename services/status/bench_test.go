package status_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

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

// BenchmarkReuse measures how long one client waits for the copy of a small result, and its job.
func BenchmarkReuse(b *testing.B) {
	l := newLifecycle(b)
	r := start(b, l.Bench, patience).ready(b)
	first := reusable(newID(b), 1)
	send(b, l.publisher, first)
	l.succeedBy(r, first, 9)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		require.Equal(b, http.StatusCreated, r.reuse(b, reusable(newID(b), 1), 9).StatusCode)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms-p50")
}

// BenchmarkPollsDuringReuse measures polls while other clients have small results copied, as many at once as a gateway accepts uploads.
func BenchmarkPollsDuringReuse(b *testing.B) {
	l := newLifecycle(b)
	r := start(b, l.Bench, patience).ready(b)
	first := reusable(newID(b), 1)
	send(b, l.publisher, first)
	l.succeedBy(r, first, 9)
	const clients = 64
	ctx, stop := context.WithCancel(b.Context())
	var copied, converted atomic.Int64
	var copying errgroup.Group
	for range clients {
		copying.Go(func() error {
			for ctx.Err() == nil {
				if r.reuse(b, reusable(newID(b), 1), 9).StatusCode == http.StatusCreated {
					copied.Add(1)
				} else {
					converted.Add(1)
				}
			}
			return nil
		})
	}
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		require.Equal(b, http.StatusOK, get(b, r.url+jobapi.Path(first.GetJobId())).StatusCode)
		took = append(took, time.Since(began))
	}
	elapsed := b.Elapsed()
	waits := metric(b, r, "docmill_database_connection_waits_total") // it includes those at the start
	stop()
	require.NoError(b, copying.Wait())
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms-p50")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "ms-p99")
	b.ReportMetric(waits/elapsed.Seconds(), "waits-for-connection/s")
	b.ReportMetric(float64(copied.Load())/elapsed.Seconds(), "copies/s")
	b.ReportMetric(float64(converted.Load())/elapsed.Seconds(), "refused/s")
}

// metric returns the value of a metric without labels.
func metric(b *testing.B, r replica, name string) float64 {
	b.Helper()
	match := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(get(b, r.admin+"/metrics").Body)
	require.NotNil(b, match)
	value, err := strconv.ParseFloat(string(match[1]), 64)
	require.NoError(b, err)
	return value
}
