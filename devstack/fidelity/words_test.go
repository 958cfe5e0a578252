package fidelity

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// texts returns the words of a page that pdftotext describes with these elements.
func texts(t *testing.T, elements string) page {
	t.Helper()
	pages, err := parse([]byte(`<!DOCTYPE html><html><head><title>a < b</title></head><body><doc>
  <page width="100" height="200">` + elements + `</page></doc></body></html>`))
	require.NoError(t, err)
	require.Len(t, pages, 1)
	return pages[0]
}

// at returns an element for a word of 10 by 10 points.
func at(x, y float64, text string) string {
	return fmt.Sprintf("\n    <word xMin=\"%g\" yMin=\"%g\" xMax=\"%g\" yMax=\"%g\">%s</word>", x, y, x+10, y+10, text)
}

func TestWordsHavePlacesAsSharesOfThePage(t *testing.T) {
	t.Parallel()
	words := texts(t, at(50, 100, "A&amp;T"))
	require.Equal(t, []string{"AT"}, words.texts())
	require.InDelta(t, 0.55, words[0].x, 1e-9)
	require.InDelta(t, 0.525, words[0].y, 1e-9)
	require.InDelta(t, 0.1, words[0].width, 1e-9)
	require.InDelta(t, 0.05, words[0].height, 1e-9)
	require.Empty(t, texts(t, at(-13, 50, "hidden")+at(50, 205, "hidden")), "off the page")
	require.Len(t, texts(t, at(0, 0, "control\x01character")+at(20, 0, "next")), 2)
}

func TestOnlyLettersAndDigitsAreCompared(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"office", "2", "ABC", "한글"}, texts(t, at(0, 0, "o\ufb03ce,")+at(20, 0, "②")+
		at(40, 0, "ＡＢＣ")+at(60, 0, "한글")+at(80, 0, "•")).texts())
}

func TestEachIdeographIsAWord(t *testing.T) {
	t.Parallel()
	words := texts(t, at(0, 0, "日本ab"))
	require.Equal(t, []string{"日", "本", "ab"}, words.texts())
	// Two wide characters and two others share 10 points.
	require.InDelta(t, 1.0/60, words[0].x, 1e-9)
	require.InDelta(t, 3.0/60, words[1].x, 1e-9)
	require.InDelta(t, 5.0/60, words[2].x, 1e-9)
}
