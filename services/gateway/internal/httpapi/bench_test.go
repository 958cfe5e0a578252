package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/jobapi"
)

// BenchmarkSubmission submits a deck of 52 KB from 16 clients at once. Stand-in for status aside, everything is real:
// each operation is one object stored and one message confirmed by two quorum queues.
func BenchmarkSubmission(b *testing.B) {
	g := setup(b, func(c *choices) {
		c.settings.MaxUploads, c.log = 64, zap.NewNop()
		c.untapped = true
	})
	g.status.handle(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, jobapi.Job{ID: "it", Status: jobapi.Queued})
	})
	content := sample(b, deck)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.SetBytes(int64(len(content)))
	b.SetParallelism(8) // times GOMAXPROCS
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequest(http.MethodPost, g.url+"/v1/jobs", bytes.NewReader(content))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Content-Disposition", "attachment; filename=deck.pptx")
			response, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode != http.StatusAccepted {
				b.Errorf("answer %s", response.Status)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submissions/s")
}
