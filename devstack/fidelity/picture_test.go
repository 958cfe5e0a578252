package fidelity_test

import (
	"image"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/fidelity"
)

func TestColumnsOfAPictureHaveEqualScale(t *testing.T) {
	t.Parallel()
	deck := fidelity.Column{Title: "Deck", Path: filepath.Join(testdata, "o2p-pptx", "06_project_status_ko.pdf")}
	letter := fidelity.Column{Title: "Letter", Path: filepath.Join(testdata, "o2p-docx", "04_resume_en.pdf")}
	one, err := fidelity.SideBySide(t.Context(), 1, deck)
	require.NoError(t, err)
	two, err := fidelity.SideBySide(t.Context(), 1, deck, letter)
	require.NoError(t, err)
	require.Equal(t, image.Pt(984, 715), two.Bounds().Size(), "two columns of 480 pixels, gaps of 8, and the height of the letter")
	for y := range one.Bounds().Dy() {
		for x := range 480 {
			require.Equal(t, one.At(x, y), two.At(x, y))
		}
	}
	_, err = fidelity.SideBySide(t.Context(), 2, letter)
	require.ErrorContains(t, err, "04_resume_en.pdf", "it has one page")
}
