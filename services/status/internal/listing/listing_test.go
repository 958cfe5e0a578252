package listing_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/internal/listing"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	last = uuid.MustParse("01981c7e-6c1f-7d3a-9d0e-0c6b1c0c7b11")
)

func TestParse(t *testing.T) {
	t.Parallel()
	failed := jobstore.Filter{Statuses: []job.Status{job.Failed}, Tag: "a b"}
	for query, want := range map[string]jobstore.Selection{
		"":                         {Limit: 20},
		"status=&tag=&page_token=": {Limit: 20},
		"status=failed":            {Limit: 20, Filter: jobstore.Filter{Statuses: []job.Status{job.Failed}}},
		"status=queued&status=running&page_size=100": {Limit: 100, Filter: jobstore.Filter{Statuses: []job.Status{job.Queued, job.Running}}},
		"created_after=2026-03-01T13:00:00%2B01:00&created_before=2026-03-01T12:00:00.5Z": {
			Limit: 20, Filter: jobstore.Filter{CreatedAfter: noon, CreatedBefore: noon.Add(time.Second / 2)},
		},
		"page_size=1&tag=a+b&status=failed&page_token=" + listing.Token(last, failed): {Limit: 1, Filter: failed, Before: last},
	} {
		got, err := listing.Parse(query)
		require.NoError(t, err, query)
		got.CreatedAfter = got.CreatedAfter.UTC()
		require.Equal(t, want, got, query)
	}
}

func TestParseReportsAllFaults(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	_, err := listing.Parse("status=done&tag=" + long + "&created_after=yesterday&created_before=2026-03-01T12:00:00+01:00&page_size=0&page_token=x&staus=a&" +
		long + "=1&tag=b")
	fault := problem.From(err)
	require.Equal(t, problem.ParameterInvalid, fault.Code)
	var names []string
	for _, field := range fault.Fields {
		names = append(names, field.Name)
	}
	require.Equal(t, []string{
		"status", "tag", "created_after", "created_before", "page_size", "page_token", "staus", long[:64] + "…",
	}, names)
	for query, name := range map[string]string{
		"page_size=101": "page_size", "page_size=1.5": "page_size", "page_size=1&page_size=2": "page_size", "status=failed&status=x": "status",
		"tag=%00": "tag", "tag=%ff": "tag", "tag=" + long[:129]: "tag",
	} {
		_, err := listing.Parse(query)
		require.Equal(t, []string{name}, []string{problem.From(err).Fields[0].Name}, query)
	}
	for _, query := range []string{"tag=%zz", "tag=a;status=failed"} {
		_, err := listing.Parse(query)
		require.Equal(t, problem.ParameterInvalid, problem.From(err).Code, query)
	}
	_, err = listing.Parse(strings.Repeat("&", 10) + "a=&b=&c=&d=&e=&f=&g=")
	require.Len(t, problem.From(err).Fields, 5)
}

// TestTokensBelongToAFilter requires that a token is rejected with another filter, and accepted with an equal one.
func TestTokensBelongToAFilter(t *testing.T) {
	t.Parallel()
	token := url.QueryEscape(listing.Token(last, jobstore.Filter{Statuses: []job.Status{job.Queued, job.Failed}}))
	for _, query := range []string{"status=queued&status=failed", "status=failed&status=queued&status=failed&page_size=3"} {
		got, err := listing.Parse(query + "&page_token=" + token)
		require.NoError(t, err, query)
		require.Equal(t, last, got.Before)
	}
	for _, query := range []string{"", "status=failed", "status=failed&status=queued&tag=a", "status=failed&status=queued&created_after=2026-03-01T12:00:00Z"} {
		_, err := listing.Parse(query + "&page_token=" + token)
		require.Equal(t, problem.ParameterInvalid, problem.From(err).Code, query)
	}
}

// TestForgedTokens requires that no token leads outside of what the filter selects, or to a page that never ends.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		filter := jobstore.Filter{CreatedBefore: noon}
		token, err := base64.RawURLEncoding.DecodeString(listing.Token(last, filter))
		require.NoError(t, err)
		position := rapid.IntRange(0, len(token)-1).Draw(t, "position")
		token[position] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		got, err := listing.Parse(url.Values{
			"created_before": {noon.Format(time.RFC3339)}, "page_token": {base64.RawURLEncoding.EncodeToString(token)},
		}.Encode())
		if err != nil {
			require.Equal(t, problem.ParameterInvalid, problem.From(err).Code)
			return
		}
		_, before := got.Range()
		_, limit := jobstore.Selection{Filter: filter}.Range()
		require.LessOrEqual(t, before.String(), limit.String())
		require.NotEqual(t, uuid.Nil, got.Before)
	})
}
