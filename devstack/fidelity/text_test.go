package fidelity

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lines returns a page with words of equal width in lines of equal height.
func lines(text ...string) page {
	var words page
	for y, line := range text {
		for x, w := range strings.Fields(line) {
			words = append(words, word{text: w, x: float64(x) / 10, y: float64(y) / 10, width: 0.08, height: 0.08})
		}
	}
	return words
}

func TestEqualTextScoresOne(t *testing.T) {
	t.Parallel()
	one := Scores{Found: 1, Place: 1, Breaks: 1, Text: 1}
	require.Equal(t, one, compareText([]page{lines("a b", "c d")}, []page{lines("a b", "c d")}))
	require.Equal(t, one, compareText(nil, nil), "a document without words")
}

func TestDifferencesReduceScores(t *testing.T) {
	t.Parallel()
	want := []page{lines("a b", "c d")}
	require.Equal(t, Scores{Found: 1, Place: 0.5, Breaks: 0, Text: 1}, compareText(want, []page{lines("a b c d")}), "another line break")
	require.Equal(t, Scores{Found: 0.75, Place: 0.75, Breaks: 0, Text: 0.75}, compareText(want, []page{lines("a b", "x d")}), "another word")
	require.Equal(t, Scores{Found: 0, Place: 0, Breaks: 0, Text: 1}, compareText(want, []page{nil, want[0]}), "another page")
	require.Equal(t, Scores{Found: 0, Place: 0, Breaks: 0, Text: 0}, compareText(want, nil), "no page")
}

func TestWordMatchesOnlyOneOfSeveral(t *testing.T) {
	t.Parallel()
	at := func(x float64) word { return word{text: "a", x: x} }
	require.Equal(t, 1, inPlace(page{at(0), at(0.001)}, page{at(0)}))
	require.Equal(t, 2, inPlace(page{at(0), at(0.009)}, page{at(0.001), at(0.012)}), "the nearest ones match")
	require.Equal(t, 0, inPlace(page{at(0)}, page{at(0.011)}))
}
