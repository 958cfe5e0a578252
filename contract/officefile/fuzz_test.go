package officefile

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

func seed(f *testing.F) {
	f.Helper()
	f.Add(compoundOf(stream{Name: "WordDocument", Data: "…"}, stream{Name: "Workbook", Nested: true}), "text.doc")
	f.Add(packageOf(f, "ppsx"), "deck.ppsx")
	f.Add(openDocument(f, format.OpenDocument+"presentation", plainManifest), "text.odt")
}

// FuzzCountSlides looks for panics, and for reading without end.
func FuzzCountSlides(f *testing.F) {
	seed(f)
	f.Add(deck(f, `<p:sld xmlns:p="p" show="0"/>`), "deck.pptx")
	f.Fuzz(func(t *testing.T, data []byte, _ string) {
		c := &counter{ReaderAt: bytes.NewReader(data)}
		got, err := CountSlides(t.Context(), c, int64(len(data)))
		require.LessOrEqual(t, c.Reads.Load(), int64(slideFetches))
		if err == nil {
			require.GreaterOrEqual(t, got.Visible(), 0)
			require.LessOrEqual(t, got.Total, maxSlides)
		}
	})
}
