package fidelity

import (
	"cmp"
	"math"
	"slices"

	"github.com/pmezard/go-difflib/difflib"
)

// near is how far the centers of a word may be from each other to be at the same place: 1 % of the page.
const near = 0.01

// compareText returns the scores of the measures of words. Those of a document without words are 1.
func compareText(reference, output []page) Scores {
	var words, found, placed, both, breaks int
	for i, want := range reference {
		var have page
		if i < len(output) {
			have = output[i]
		}
		words += len(want)
		placed += inPlace(want, have)
		same, commonBreaks := match(want, have)
		found += same
		both += commonBreaks
		breaks += count(want.breaks()) + count(have.breaks())
	}
	for _, extra := range output[min(len(reference), len(output)):] {
		breaks += count(extra.breaks())
	}
	share := func(of, all int) float64 {
		if all == 0 {
			return 1
		}
		return float64(of) / float64(all)
	}
	return Scores{
		Found: share(found, words), Place: share(placed, words), Breaks: share(2*both, breaks), Text: share(inCommon(reference, output), words),
	}
}

// match returns how many words are in both pages in the same order, and how many line breaks between such words both have.
func match(want, have page) (words, breaks int) {
	wantBreaks, haveBreaks := want.breaks(), have.breaks()
	for _, block := range difflib.NewMatcherWithJunk(want.texts(), have.texts(), false, nil).GetMatchingBlocks() {
		words += block.Size
		for k := range block.Size - 1 {
			if wantBreaks[block.A+k] && haveBreaks[block.B+k] {
				breaks++
			}
		}
	}
	return words, breaks
}

func (p page) texts() []string {
	texts := make([]string, len(p))
	for i, w := range p {
		texts[i] = w.text
	}
	return texts
}

// breaks returns, for each word but the first, whether a new line begins before it: its center is more than half a line
// above or below that of the word before.
func (p page) breaks() []bool {
	if len(p) == 0 {
		return nil
	}
	breaks := make([]bool, len(p)-1)
	for i := range breaks {
		a, b := p[i], p[i+1]
		breaks[i] = math.Abs(b.y-a.y) > max(a.height, b.height)/2
	}
	return breaks
}

func count(of []bool) int {
	n := 0
	for _, set := range of {
		if set {
			n++
		}
	}
	return n
}

// inPlace returns how many words of a page have an equal word near the same place. A word of the other page is counted
// once; of several candidates, the nearest ones match.
func inPlace(want, have page) int {
	type candidate struct {
		distance    float64
		left, right int
	}
	wanted, found := want.byText(), have.byText()
	n := 0
	for text, lefts := range wanted {
		var candidates []candidate
		for _, i := range lefts {
			for _, j := range found[text] {
				if d := distance(want[i], have[j]); d <= near {
					candidates = append(candidates, candidate{d, i, j})
				}
			}
		}
		slices.SortFunc(candidates, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(a.distance, b.distance), a.left-b.left, a.right-b.right)
		})
		left, right := map[int]bool{}, map[int]bool{}
		for _, c := range candidates {
			if !left[c.left] && !right[c.right] {
				left[c.left], right[c.right] = true, true
			}
		}
		n += len(left)
	}
	return n
}

// byText returns the indexes of the words with each text.
func (p page) byText() map[string][]int {
	indexes := map[string][]int{}
	for i, w := range p {
		indexes[w.text] = append(indexes[w.text], i)
	}
	return indexes
}

// distance returns the greater of the horizontal and the vertical distance, as a share of the page.
func distance(a, b word) float64 { return max(math.Abs(a.x-b.x), math.Abs(a.y-b.y)) }

// inCommon returns how many words of the reference are in the output, wherever they are.
func inCommon(reference, output []page) int {
	available := map[string]int{}
	for _, p := range output {
		for _, w := range p {
			available[w.text]++
		}
	}
	n := 0
	for _, p := range reference {
		for _, w := range p {
			if available[w.text] > 0 {
				available[w.text]--
				n++
			}
		}
	}
	return n
}
