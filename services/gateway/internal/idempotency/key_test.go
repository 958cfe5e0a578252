package idempotency_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/idempotency"
)

func TestKeyOf(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 255)
	for value, want := range map[string]string{
		"abc": "abc", `"abc"`: "abc", " abc\t": "abc", `"a b"`: "a b", "a b": "a b", `"a\"\\b"`: `a"\b`, `a"b`: `a"b`, `""x`: "",
		long: long, `"` + long + `"`: long, "": "", `""`: "", long + "k": "", "ä": "", "a\x7fb": "", `"abc`: "", `"abc"; x=1`: "", `"a\b"`: "",
		`"`: "", `"a\`: "",
	} {
		key, err := idempotency.KeyOf(http.Header{"Idempotency-Key": {value}})
		require.Equal(t, want, key, "%q", value)
		if want == "" {
			var p *problem.Error
			require.ErrorAs(t, err, &p, "%q", value)
			require.Equal(t, problem.HeaderInvalid, p.Code)
			require.Equal(t, "Idempotency-Key", p.Fields[0].Name)
		} else {
			require.NoError(t, err, "%q", value)
		}
	}
	key, err := idempotency.KeyOf(http.Header{})
	require.NoError(t, err)
	require.Empty(t, key)
	_, err = idempotency.KeyOf(http.Header{"Idempotency-Key": {"a", "a"}})
	require.Error(t, err)
}
