package release_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/release"
)

const project = "../.."

// TestMissingHistory: neither a directory without a repository nor a shallow clone has the commit.
func TestMissingHistory(t *testing.T) {
	t.Parallel()
	_, err := release.Build(t.Context(), t.TempDir(), release.Baseline)
	require.ErrorIs(t, err, release.ErrNoHistory)
	_, err = release.Build(t.Context(), project, strings.Repeat("0123456789", 4))
	require.ErrorIs(t, err, release.ErrNoHistory)
}
