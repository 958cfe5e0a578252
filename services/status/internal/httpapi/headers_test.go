package httpapi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadTags(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		`"3"`: true, `W/"3"`: true, `"1", W/"3"`: true, `"a,b","3"`: true, `*`: true, ` * `: true, `,, "3",`: true,
		``: false, `"4"`: false, `3`: false, `"3`: false, `"33"`: false, `"a,"3"`: false,
	} {
		require.Equal(t, want, readTags([]string{header}).match(`"3"`), header)
	}
	require.True(t, readTags([]string{`"1"`, `"3"`}).match(`"3"`), "two header lines")
	require.False(t, readTags(nil).given())
	require.False(t, readTags([]string{"nonsense"}).given())
}
