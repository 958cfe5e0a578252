package httpserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/httpserver"
)

func TestPreferWait(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int{
		"wait=10": 10, "Wait=10": 10, "wait = 10": 10, `wait="10"`: 10, "respond-async, wait=10": 10, "wait=10;foo=bar": 10,
		"wait=10, wait=20": 10, "wait=0": 0, "wait=100000": 100000,
		"wait=abc": -1, "wait=-1": -1, "wait": -1, "wait=1.5": -1, "": -1, "waiting=3": -1, "wait=99999999999999999999": -1, "wait=abc, wait=3": -1,
	} {
		wait, asked := httpserver.PreferWait(http.Header{"Prefer": {header}})
		require.Equal(t, want >= 0, asked, header)
		require.Equal(t, time.Duration(max(want, 0))*time.Second, wait, header)
	}
	wait, asked := httpserver.PreferWait(http.Header{"Prefer": {"respond-async", "wait=7"}})
	require.True(t, asked)
	require.Equal(t, 7*time.Second, wait)
}

func TestPreferenceApplied(t *testing.T) {
	t.Parallel()
	require.Equal(t, "wait=30", httpserver.PreferenceApplied(30*time.Second))
}
