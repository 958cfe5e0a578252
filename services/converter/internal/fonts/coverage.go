package fonts

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// maxCharsets bounds the bytes that are read of the character sets of all fonts: those of a Chinese font take 30 KiB.
const maxCharsets = 64 << 20

// coverage is which characters at least one font has.
type coverage []span

// span is a range of characters.
type span struct{ first, last rune }

// Lacking returns those characters that no font has. LibreOffice takes a character that a font lacks from another font, so only
// these are drawn as boxes, or not at all. If fontconfig never worked, it returns none. The character sets are read at most every
// 10 minutes.
func (l *Library) Lacking(ctx context.Context, characters []rune) []rune {
	if len(characters) == 0 {
		return nil
	}
	covered := l.coverage.get(ctx, func() (coverage, error) {
		lines, err := l.run(ctx, l.list, maxCharsets, "--format", "%{charset}\n")
		if err != nil {
			l.log.Error("cannot list the characters of the installed fonts", zap.Error(err))
			return nil, err
		}
		return merged(parseCharsets(lines)), nil
	})
	if len(covered) == 0 {
		return nil
	}
	var lacking []rune
	for _, r := range characters {
		if !covered.has(r) {
			lacking = append(lacking, r)
		}
	}
	return lacking
}

// has reports whether a font has a character.
func (c coverage) has(r rune) bool {
	_, found := slices.BinarySearchFunc(c, r, func(s span, r rune) int {
		switch {
		case s.last < r:
			return -1
		case s.first > r:
			return 1
		default:
			return 0
		}
	})
	return found
}

// parseCharsets parses lines of ranges in hexadecimal: "20-7e a0 2010-2015". The faces of a collection have the same line.
func parseCharsets(lines []string) []span {
	slices.Sort(lines)
	var spans []span
	for _, line := range slices.Compact(lines) {
		for text := range strings.FieldsSeq(line) {
			from, to, isRange := strings.Cut(text, "-")
			if !isRange {
				to = from
			}
			first, err := strconv.ParseUint(from, 16, 21)
			last, err2 := strconv.ParseUint(to, 16, 21)
			if err == nil && err2 == nil {
				spans = append(spans, span{rune(first), rune(last)})
			}
		}
	}
	return spans
}

// merged sorts spans and joins those that overlap or touch.
func merged(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	var joined []span
	for _, s := range spans {
		if n := len(joined); n > 0 && s.first <= joined[n-1].last+1 {
			joined[n-1].last = max(joined[n-1].last, s.last)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}
