package client_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

func TestQueriesAreRepeated(t *testing.T) {
	t.Parallel()
	c := faulty(t, cut, refuse(503, client.CodeStatusUnavailable), refuse(500, client.CodeInternal), refuse(502, ""), state(client.Running))
	job, err := c.Job(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, client.Running, job.Status)
}

func TestLastingProblemsAreNotRepeated(t *testing.T) {
	t.Parallel()
	_, err := faulty(t, refuse(404, client.CodeJobNotFound)).Job(t.Context(), "1")
	require.True(t, client.IsCode(err, client.CodeJobNotFound))
}

func TestTriesAreLimited(t *testing.T) {
	t.Parallel()
	busy := refuse(503, client.CodeBusy)
	_, err := faulty(t, busy, busy, busy, busy, busy).Job(t.Context(), "1")
	require.True(t, client.IsCode(err, client.CodeBusy))
}

// scripted is a transport that needs no network, so that a test can run in a synctest bubble with its own time.
type scripted func(*http.Request) (*http.Response, error)

func (s scripted) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

// unavailable returns a client whose requests are all refused, and the times of the requests.
func unavailable(retryAfter string, limits client.Retries) (*client.Client, *[]time.Time) {
	var times []time.Time
	transport := scripted(func(r *http.Request) (*http.Response, error) {
		times = append(times, time.Now())
		return &http.Response{
			StatusCode: http.StatusServiceUnavailable, Status: "503", Header: http.Header{"Retry-After": {retryAfter}}, Body: http.NoBody, Request: r,
		}, nil
	})
	return client.New("http://docmill", client.WithHTTPClient(&http.Client{Transport: transport}), client.WithRetries(limits)), &times
}

func TestDelaysGrowAndRetryAfterIsHonored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, times := unavailable("", client.Retries{Tries: 4, FirstDelay: time.Second, MaxDelay: 2 * time.Second})
		_, err := c.Formats(t.Context())
		require.Error(t, err)
		require.Len(t, *times, 4)
		for i, longest := range []time.Duration{time.Second, 2 * time.Second, 2 * time.Second} {
			delay := (*times)[i+1].Sub((*times)[i])
			require.LessOrEqual(t, delay, longest)
			require.GreaterOrEqual(t, delay, longest/2)
		}

		c, times = unavailable("5", client.Retries{Tries: 2})
		_, err = c.Formats(t.Context())
		require.Error(t, err)
		require.GreaterOrEqual(t, (*times)[1].Sub((*times)[0]), 5*time.Second)

		c, times = unavailable("3600", client.Retries{})
		_, err = c.Formats(t.Context())
		var problem *client.Problem
		require.ErrorAs(t, err, &problem)
		require.Equal(t, time.Hour, problem.RetryAfter)
		require.Len(t, *times, 1, "the caller decides")
	})
}

func TestContextEndsTheRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, times := unavailable("20", client.Retries{})
		reason := errors.New("no longer needed")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, reason)
		defer cancel()
		_, err := c.Formats(ctx)
		require.ErrorIs(t, err, reason)
		var problem *client.Problem
		require.ErrorAs(t, err, &problem, "the last failure")
		require.Len(t, *times, 1)
	})
}
