package option_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/option"
)

func TestCheckCallbackURL(t *testing.T) {
	t.Parallel()
	for _, valid := range []string{
		"https://example.com", "http://example.com:8080/a?b=c", "https://[2001:db8::1]:443/x", "https://10.0.0.1/", "HTTPS://EXAMPLE.com/",
		"https://xn--bcher-kva.example/%C3%BC", "https://example.com/" + strings.Repeat("a", 2048-len("https://example.com/")),
	} {
		require.NoError(t, option.CheckCallbackURL(valid), valid)
	}
	for invalid, want := range map[string]string{
		"": "http or https", "example.com": "http or https", "/hook": "http or https", "ftp://example.com/": "http or https",
		"file:///etc/passwd": "http or https", "https:": "host", "https:///x": "host", "https:example.com": "host",
		"https://:443/": "host", "https://user@example.com/": "user", "https://a:secret@example.com/": "user",
		"https://example.com/#a": "fragment", "https://example.com/#": "fragment", "https://example.com:/": "port",
		"https://example.com:0/": "port", "https://example.com:65536/": "port", "https://example.com:x/": "URL",
		"https://b\u00fccher.example/": "ASCII", "https://example.com/a b": "ASCII", "https://example.com/\n": "ASCII",
		"https://exa\x00mple.com/": "ASCII", "https://[::1": "URL", "https://%zz/": "URL",
		"https://example.com/" + strings.Repeat("a", 2048): "at most",
	} {
		err := option.CheckCallbackURL(invalid)
		require.ErrorContains(t, err, want, "%q", invalid)
		require.NotContains(t, err.Error(), "secret", "the value is not repeated")
	}
}

func TestParseCallbackEvents(t *testing.T) {
	t.Parallel()
	events, err := option.ParseCallbackEvents("job.failed, job.succeeded")
	require.NoError(t, err)
	require.Equal(t, []string{"job.succeeded", "job.failed"}, events)
	for _, invalid := range []string{"", "job.started", "job.failed,", "job.failed,job.failed", "succeeded"} {
		_, err := option.ParseCallbackEvents(invalid)
		require.ErrorContains(t, err, "job.canceled", invalid)
	}
}
