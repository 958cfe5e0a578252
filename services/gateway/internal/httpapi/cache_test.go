package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// reuses lets the status service answer requests for earlier results with a status, and returns their bodies.
func (s *standIn) reuses(status int) <-chan jobapi.Reuse {
	asked := make(chan jobapi.Reuse, 10)
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != jobapi.ReusePath {
			id := strings.Split(r.URL.Path, "/")[3]
			w.Header().Set("ETag", `"1"`)
			writeJSON(w, jobapi.Job{ID: id, Status: jobapi.Succeeded, Links: jobapi.LinksTo(id, jobapi.Succeeded)})
			return
		}
		var request jobapi.Reuse
		_ = json.NewDecoder(r.Body).Decode(&request)
		asked <- request
		if status >= http.StatusInternalServerError {
			problem.Write(w, r, problem.New(problem.StatusUnavailable, "The job database does not respond."))
			return
		}
		w.WriteHeader(status)
	})
	return asked
}

// announceBuild lets a converter with this build announce itself.
func (g *gateway) announceBuild(t testing.TB, build string) {
	t.Helper()
	g.learn(t, &conversionv1.ConverterAnnounced{
		ConverterId: build, Build: []byte(build), ValidFor: durationpb.New(time.Minute),
		Capabilities: []*conversionv1.Capability{{SourceFormat: "pptx", TargetFormats: []string{"pdf"}}},
	})
}

func cached(c *choices) { c.cache = true }

// TestCachedResult: a submission that the status service answers with an earlier result is not queued.
func TestCachedResult(t *testing.T) {
	t.Parallel()
	g := setup(t, cached)
	content := sample(t, deck)
	asked := g.status.reuses(http.StatusCreated)
	g.form(t, deck, bytes.NewReader(content)).job(t, http.StatusAccepted) // no converter is known
	require.Empty(t, asked)
	message, _ := g.queued(t)
	require.Len(t, message.GetCacheDigest(), 32)
	want := message.GetCacheDigest()

	g.announceBuild(t, "x")
	g.announceBuild(t, "y")
	answer := g.form(t, "other name.pptx", bytes.NewReader(content), "tag", "t")
	accepted := answer.job(t, http.StatusAccepted)
	require.Equal(t, jobapi.Succeeded, accepted.Status)
	require.NotContains(t, answer.Header, "Retry-After", "the job has ended")
	request := <-asked
	require.ElementsMatch(t, [][]byte{[]byte("x"), []byte("y")}, request.Builds)
	command := &conversionv1.ConvertRequested{}
	require.NoError(t, proto.Unmarshal(request.Command, command))
	require.Equal(t, accepted.ID, command.GetJobId())
	require.Equal(t, want, command.GetCacheDigest(), "neither the name nor the tag matters")
	g.requireNothingQueued(t)
	require.Equal(t, map[string]float64{"hit": 1, "miss": 1}, g.counts(t, "docmill_gateway_cache_lookups_total"))

	g.form(t, deck, bytes.NewReader(content), "pages", "1").job(t, http.StatusAccepted)
	require.NoError(t, proto.Unmarshal((<-asked).Command, command))
	require.NotEqual(t, want, command.GetCacheDigest())
}

// TestNoCachedResult: without an earlier result, or without an answer, the document is converted.
func TestNoCachedResult(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status  int
		outcome string
	}{{http.StatusNoContent, "miss"}, {http.StatusServiceUnavailable, "failed"}, {http.StatusNotFound, "failed"}, {0, "failed"}} {
		g := setup(t, cached)
		g.announceBuild(t, "x")
		g.status.reuses(test.status)
		if test.status == 0 {
			g.status.server.Close()
		}
		accepted := g.form(t, deck, bytes.NewReader(sample(t, deck))).job(t, http.StatusAccepted)
		message, _ := g.queued(t)
		require.Equal(t, accepted.ID, message.GetJobId())
		require.Equal(t, map[string]float64{test.outcome: 1}, g.counts(t, "docmill_gateway_cache_lookups_total"))
	}
}

// TestNothingSecretIsCached: the result of a document with a password must not be found by those who do not know it.
func TestNothingSecretIsCached(t *testing.T) {
	t.Parallel()
	g := setup(t, cached)
	g.announceBuild(t, "x")
	asked := g.status.reuses(http.StatusCreated)
	g.form(t, deck, bytes.NewReader(sample(t, deck)), "user_password", "x").job(t, http.StatusAccepted)
	message, _ := g.queued(t)
	require.Empty(t, message.GetCacheDigest())
	require.Empty(t, asked)
}

// TestCacheIsOffByDefault: commands do not have a field that older converters do not know.
func TestCacheIsOffByDefault(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.announceBuild(t, "x")
	asked := g.status.reuses(http.StatusCreated)
	g.form(t, deck, bytes.NewReader(sample(t, deck))).job(t, http.StatusAccepted)
	message, _ := g.queued(t)
	require.Empty(t, message.GetCacheDigest())
	require.Empty(t, asked)
}

// TestCachedResultWithAKey: a request that is repeated with its key is answered with the first job.
func TestCachedResultWithAKey(t *testing.T) {
	t.Parallel()
	g := setup(t, cached)
	g.announceBuild(t, "x")
	asked := g.status.reuses(http.StatusCreated)
	first := g.keyed(t, "key", deck, sample(t, deck)).job(t, http.StatusAccepted)
	<-asked
	again := g.keyed(t, "key", deck, sample(t, deck))
	require.Equal(t, first.ID, again.job(t, http.StatusAccepted).ID)
	require.True(t, replayed(again))
	require.Empty(t, asked)
	g.requireNothingQueued(t)
}

// TestRejectedAfterALostAnswer: the status service may have recorded the job although its answer is lost. If the queue rejects the job after
// that, nothing is deleted, and the client is not told that there is no job.
func TestRejectedAfterALostAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		code   problem.Code
		kept   int
	}{
		"lost":      {http.StatusServiceUnavailable, problem.QueueUnconfirmed, 1},
		"no result": {http.StatusNoContent, problem.QueueUnavailable, 0},
		"older":     {http.StatusNotFound, problem.QueueUnavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t, cached, func(c *choices) {
				c.brokerURL, c.unconnected, c.publishTimeout = "amqp://127.0.0.1:1/", true, 200*time.Millisecond
			})
			g.announceBuild(t, "x")
			asked := g.status.reuses(test.status)
			g.keyed(t, "key", deck, sample(t, deck)).problem(t, test.code)
			<-asked
			require.Len(t, g.documents(t), test.kept)
			require.Len(t, g.claims(t), test.kept)
		})
	}
}

// TestStatusServiceThatHangs: not every submission waits for it.
func TestStatusServiceThatHangs(t *testing.T) {
	t.Parallel()
	g := setup(t, cached)
	g.announceBuild(t, "x")
	asked := g.status.reuses(http.StatusServiceUnavailable)
	for range 3 {
		g.form(t, deck, bytes.NewReader(sample(t, deck))).job(t, http.StatusAccepted)
		g.queued(t)
	}
	require.Len(t, asked, 1)
	require.Equal(t, map[string]float64{"failed": 1, "miss": 2}, g.counts(t, "docmill_gateway_cache_lookups_total"))
}
