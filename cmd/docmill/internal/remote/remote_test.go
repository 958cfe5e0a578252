package remote

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPasswordsAreNotPrinted(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"127.0.0.1:8080":                  "127.0.0.1:8080",
		"https://docmill.example.com/api": "https://docmill.example.com/api",
		"https://me:secret@example.com":   "https://me:xxxxx@example.com",
		"me:secret@example.com":           "http://me:xxxxx@example.com",
		"https://me:sec%ret@example.com":  "…@example.com",
	} {
		require.Equal(t, want, Redacted(server))
	}
	_, err := parse("ftp://me:secret@example.com")
	require.NotContains(t, err.Error(), "secret")
	_, err = parse("https://me:sec%ret@example.com")
	require.NotContains(t, err.Error(), "ret@")
}
