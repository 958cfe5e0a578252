package packages_test

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/fonts/packages"
)

func TestDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/fonts.md")
	require.NoError(t, err)
	for _, p := range packages.Relied() {
		require.Contains(t, string(text), p.Name)
	}
}

func TestNoFileIsInTwoPackages(t *testing.T) {
	t.Parallel()
	var files []string
	for _, p := range slices.Concat(packages.Relied(), packages.System()) {
		require.NotEmpty(t, p.Families, p.Name)
		for _, file := range p.Files {
			require.NotContains(t, files, file)
			files = append(files, file)
		}
	}
}
