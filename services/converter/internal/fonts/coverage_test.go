package fonts

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
)

func TestLacking(t *testing.T) {
	t.Parallel()
	library, err := Open(t.TempDir(), nil, zaptest.NewLogger(t))
	require.NoError(t, err)
	ended, end := context.WithCancel(t.Context())
	end()
	require.Empty(t, library.Lacking(ended, []rune{'\U0001E900'}), "unknown")
	for range 2 { // the second time from memory
		// No package of fonts that the tests install has Adlam or Bamum.
		require.Equal(t, []rune{'\U00016800', '\U0001E900'}, library.Lacking(t.Context(), []rune{'é', '€', 'Ж', '\U00016800', '\U0001E900'}))
		require.Empty(t, library.Lacking(t.Context(), []rune("grüße")))
		require.Empty(t, library.Lacking(t.Context(), nil))
	}
}

func TestCharsets(t *testing.T) {
	t.Parallel()
	c := coverage(merged(parseCharsets([]string{"20-7e a0-a5 2010", "20-7e a0-a5 2010", "7f a4-ff 10000-10ffff", "", "x-y 30-", "-"})))
	require.Equal(t, coverage{{0x20, 0x7f}, {0xa0, 0xff}, {0x2010, 0x2010}, {0x10000, 0x10ffff}}, c)
	for r, want := range map[rune]bool{0x1f: false, 0x20: true, 0x7f: true, 0x80: false, 0xff: true, 0x2010: true, 0x2011: false, 0x10ffff: true} {
		require.Equal(t, want, c.has(r), "%x", r)
	}
}
