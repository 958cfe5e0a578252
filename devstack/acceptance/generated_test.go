package acceptance_test

import (
	"bytes"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/contracttest"
)

// TestGeneratedRequests checks that whatever a client sends, the response is a documented one, and no internal error.
func TestGeneratedRequests(t *testing.T) {
	t.Parallel()
	b := startEmbedded(t, filepath.Join(t.TempDir(), "data"))
	job := b.succeed(t, b.submit(t, "synth-letter.txt"))
	failed := b.fail(t, b.submit(t, "synth-all-hidden.pptx"), client.CodeDocumentEmpty)
	contract := b.contract.Contract
	requests := rapid.SliceOfN(contract.Requests(job.ID, failed.ID, "00000000-0000-4000-8000-000000000000"), 1, 10)
	rapid.Check(t, func(t *rapid.T) {
		transport := &contracttest.Transport{Contract: contract, Base: b.contract.Base, Report: func(violation error) { t.Error(violation) }}
		for _, generated := range requests.Draw(t, "requests") {
			request, err := http.NewRequestWithContext(b.ctx, generated.Method, b.system.URL()+generated.Path, bytes.NewReader(generated.Body))
			require.NoError(t, err)
			request.Header = generated.Header
			response, err := transport.RoundTrip(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close()) // streams are not read
			require.NotEqual(t, http.StatusInternalServerError, response.StatusCode)
		}
	})
}
