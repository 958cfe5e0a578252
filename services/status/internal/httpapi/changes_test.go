package httpapi_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
)

// changes opens the stream of changes and returns its lines after the first, which shows that the subscription began.
func (b bench) changes(t *testing.T) *bufio.Scanner {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+jobapi.ChangesPath, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	lines := bufio.NewScanner(response.Body)
	require.True(t, lines.Scan())
	return lines
}

// requireChanged reads changes until each of the jobs was named.
func requireChanged(t *testing.T, lines *bufio.Scanner, ids ...uuid.UUID) {
	t.Helper()
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id.String()] = true
	}
	for len(missing) > 0 && lines.Scan() {
		for word := range strings.FieldsSeq(lines.Text()) {
			delete(missing, word)
		}
	}
	require.Empty(t, missing)
}

func TestChangesNameTheJobs(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	first, second := b.changes(t), b.changes(t)
	one, two := b.submit(t), b.submit(t)
	requireChanged(t, first, one, two)
	requireChanged(t, second, one, two)
	b.apply(t, started(one))
	requireChanged(t, first, one)
}

func TestChangesEndWithTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	lines := b.changes(t)
	require.NoError(t, b.drain())
	for lines.Scan() { // what was under way
	}
	require.NoError(t, lines.Err(), "the stream ends in an orderly way")
}
