package conversion

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/seal"
)

// TestPasswordsMakeNoConverterSick: a converter without the right key fails at every job with a password, but at no other.
func TestPasswordsMakeNoConverterSick(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{seal.ErrNoKey, seal.ErrBroken, errUncertain} {
		var s streak
		for range 2 * sickAfter {
			s.ended(fmt.Errorf("attempt: %w", failure))
		}
		require.False(t, s.sick(), failure)
	}
}
