package acceptance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/contracttest"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

// setupListing starts a Docmill that lets clients list jobs.
func setupListing(t *testing.T, on edition) *testBundle {
	t.Helper()
	allowed := []string{"DOCMILL_ALLOW_LISTING=true"}
	options := system.Options{Env: map[string][]string{system.Gateway: allowed, system.Embedded: allowed}}
	if on == embedded {
		options.Data = filepath.Join(t.TempDir(), "data")
	} else {
		options.Space = testbench.New(t).Space
	}
	return start(t, on, options)
}

func TestListing(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, on edition) {
		b := setupListing(t, on)
		first, err := b.submitWith("synth-letter.txt", map[string]string{"tag": "first"})
		require.NoError(t, err)
		b.succeed(t, first)
		second := b.succeed(t, b.submit(t, "synth-letter.txt"))
		list := func(query string) (ids []string, next string) {
			response, err := b.contract.RoundTrip(b.get(t, "/v1/jobs"+query))
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			var page struct {
				Jobs []client.Job `json:"jobs"`
				Next string       `json:"next_page_token"`
			}
			require.NoError(t, json.Unmarshal(body, &page))
			for _, job := range page.Jobs {
				ids = append(ids, job.ID)
			}
			return ids, page.Next
		}
		ids, next := list("?page_size=1&status=succeeded")
		require.Equal(t, []string{second.ID}, ids)
		ids, next = list("?page_size=1&status=succeeded&page_token=" + next)
		require.Equal(t, []string{first.ID}, ids)
		require.Empty(t, next)
		ids, _ = list("?tag=first")
		require.Equal(t, []string{first.ID}, ids)
	})
}

func TestListingIsOffByDefault(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, on edition) {
		b := setup(t, on)
		for _, path := range []string{"/v1/jobs", "/v1/stats"} {
			b.request(t, contracttest.Outcome{Status: http.StatusForbidden, Code: "listing-disabled"}, http.MethodGet, path, nil, nil)
		}
	})
}

func (b *testBundle) get(t *testing.T, path string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(b.ctx, http.MethodGet, b.system.URL()+path, http.NoBody)
	require.NoError(t, err)
	return request
}
