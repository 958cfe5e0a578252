package resultcache_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/gateway/internal/resultcache"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

// bench is a cache, and the service that answers its searches.
type bench struct {
	*testing.T

	cache *resultcache.Cache
	// searches receives each search, which is answered with the status that is sent to it.
	searches chan chan int
}

// setup returns a cache that pauses for the time after a search without an answer.
func setup(t *testing.T, pause time.Duration) bench {
	t.Helper()
	b := bench{T: t, searches: make(chan chan int, 16)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := make(chan int, 1)
		b.searches <- status
		select {
		case answer := <-status:
			w.WriteHeader(answer)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	status, err := statusclient.New(statusclient.Config{URL: server.URL}, nil)
	require.NoError(t, err)
	converters := &fleet.Fleet{}
	envelope, err := message.Encode(t.Context(), message.Message{Body: &conversionv1.ConverterAnnounced{
		ConverterId: "a", Build: []byte("a"), ValidFor: durationpb.New(time.Minute),
		Capabilities: []*conversionv1.Capability{{SourceFormat: "docx", TargetFormats: []string{"pdf"}}},
	}}, "test")
	require.NoError(t, err)
	require.Equal(t, message.Ack, converters.Handle(t.Context(), &message.Delivery{Envelope: envelope}))
	b.cache = resultcache.New(status, converters, zap.NewNop(), prometheus.NewRegistry())
	b.cache.SetPause(pause)
	return b
}

// answer lets a submission look for a result.
func (b bench) answer() resultcache.Outcome {
	request := &conversionv1.ConvertRequested{
		Source: &conversionv1.Source{Format: "docx"}, Target: &conversionv1.Target{Format: "pdf"}, CacheDigest: []byte("digest"),
	}
	return b.cache.Answer(b.Context(), request)
}

// begin is answer in the background. It returns when the service has received the search.
func (b bench) begin() (status chan<- int, outcome <-chan resultcache.Outcome) {
	b.Helper()
	outcomes := make(chan resultcache.Outcome, 1)
	go func() { outcomes <- b.answer() }()
	return <-b.searches, outcomes
}

// search is answer for a search that is answered with the status.
func (b bench) search(status int) resultcache.Outcome {
	b.Helper()
	answer, outcome := b.begin()
	answer <- status
	return <-outcome
}

// TestOneSearchAfterAPause: after the status service has not answered, one search tries whether it answers again. Meanwhile, others are not
// made.
func TestOneSearchAfterAPause(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	earlier, earlierOutcome := b.begin()
	require.Equal(t, resultcache.Unknown, b.search(http.StatusServiceUnavailable))
	probe, probed := b.begin()
	for range 3 {
		require.Equal(t, resultcache.None, b.answer())
	}
	earlier <- http.StatusCreated
	require.Equal(t, resultcache.Answered, <-earlierOutcome)
	require.Equal(t, resultcache.None, b.answer(), "the earlier search does not tell whether others are answered now")
	probe <- http.StatusServiceUnavailable
	require.Equal(t, resultcache.Unknown, <-probed)

	probe, probed = b.begin()
	require.Equal(t, resultcache.None, b.answer())
	probe <- http.StatusNoContent
	require.Equal(t, resultcache.None, <-probed)
	first, firstOutcome := b.begin()
	second, secondOutcome := b.begin()
	first <- http.StatusCreated
	second <- http.StatusCreated
	require.Equal(t, resultcache.Answered, <-firstOutcome)
	require.Equal(t, resultcache.Answered, <-secondOutcome)
	require.Empty(t, b.searches)
}

// TestOnlyOutagesPauseSearches: one client cannot stop the searches of the others by a submission that is refused.
func TestOnlyOutagesPauseSearches(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Hour)
	require.Equal(t, resultcache.None, b.search(http.StatusBadRequest))
	require.Equal(t, resultcache.None, b.search(http.StatusNoContent))
	require.Equal(t, resultcache.Answered, b.search(http.StatusCreated))
	require.Equal(t, resultcache.Unknown, b.search(http.StatusServiceUnavailable))
	require.Equal(t, resultcache.None, b.answer())
	require.Empty(t, b.searches)
}
