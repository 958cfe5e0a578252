package fidelity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// word is a word and its place: the center and the size, as shares of the page.
type word struct {
	text                string
	x, y, width, height float64
}

// page has the words of a page in the order in which they are read.
type page []word

// words returns the words of some pages.
func words(ctx context.Context, path string, of Span) ([]page, error) {
	output, err := poppler(ctx, "pdftotext", "-bbox", "-f", strconv.Itoa(of.First), "-l", strconv.Itoa(of.Last), path, "-")
	if err != nil {
		return nil, err
	}
	pages, err := parse(output)
	if err != nil {
		return nil, fmt.Errorf("read the words of %s: %w", path, err)
	}
	return pages, nil
}

// parse reads the output of pdftotext -bbox, in which a page is <page width="…" height="…"> and a word is
// <word xMin="…" yMin="…" xMax="…" yMax="…">text</word>. It may contain control characters, which XML does not permit.
func parse(output []byte) ([]page, error) {
	var pages []page
	var paper, place map[string]float64
	tokens := html.NewTokenizer(bytes.NewReader(output))
	for {
		switch kind, token := tokens.Next(), tokens.Token(); {
		case kind == html.ErrorToken && errors.Is(tokens.Err(), io.EOF):
			return pages, nil
		case kind == html.ErrorToken:
			return nil, tokens.Err()
		case kind == html.StartTagToken && token.Data == "page":
			paper = numbers(token)
			pages = append(pages, nil)
		case kind == html.StartTagToken && token.Data == "word":
			place = numbers(token)
		case kind == html.EndTagToken && token.Data == "word":
			place = nil
		case kind == html.TextToken && place != nil && len(pages) > 0:
			last := &pages[len(pages)-1]
			*last = append(*last, split(token.Data, boxOn(paper, place))...)
		}
	}
}

// numbers returns the attributes of a tag that are numbers. Their names are in lower case.
func numbers(tag html.Token) map[string]float64 {
	values := map[string]float64{}
	for _, attribute := range tag.Attr {
		if value, err := strconv.ParseFloat(attribute.Val, 64); err == nil {
			values[attribute.Key] = value
		}
	}
	return values
}

// box is the place of characters, as shares of the page.
type box struct{ left, top, right, bottom float64 }

func boxOn(paper, place map[string]float64) box {
	w, h := paper["width"], paper["height"]
	return box{left: place["xmin"] / w, top: place["ymin"] / h, right: place["xmax"] / w, bottom: place["ymax"] / h}
}

// hidden reports whether the characters are outside of the page.
func (b box) hidden() bool {
	const margin = 0.02
	return b.right < -margin || b.left > 1+margin || b.bottom < -margin || b.top > 1+margin
}

// part returns the part of the box between two shares of its width.
func (b box) part(from, to float64) box {
	w := b.right - b.left
	return box{left: b.left + w*from, top: b.top, right: b.left + w*to, bottom: b.bottom}
}

// split divides what pdftotext considers a word. Text in Han or kana characters has no spaces: each of these characters is
// a word. The box is divided among the characters; wide ones have twice the width of others.
func split(text string, at box) page {
	if at.hidden() {
		return nil
	}
	var total, position float64
	for _, c := range text {
		total += columns(c)
	}
	var parts page
	var run []rune
	begin := 0.0
	flush := func() {
		if plain := normalize(string(run)); plain != "" {
			b := at.part(begin/total, position/total)
			parts = append(parts, word{
				text: plain, x: (b.left + b.right) / 2, y: (b.top + b.bottom) / 2, width: b.right - b.left, height: b.bottom - b.top,
			})
		}
		run, begin = nil, position
	}
	for _, c := range text {
		alone := ideographic(c)
		if alone {
			flush()
		}
		run = append(run, c)
		position += columns(c)
		if alone {
			flush()
		}
	}
	flush()
	return parts
}

// columns returns the width of a character in columns of a terminal.
func columns(c rune) float64 {
	switch width.LookupRune(c).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// ideographic reports whether a character is Han or kana.
func ideographic(c rune) bool {
	return '\u3040' <= c && c <= '\u30ff' || '\u3400' <= c && c <= '\u9fff' || '\uf900' <= c && c <= '\ufaff' ||
		'\U00020000' <= c && c <= '\U0003ffff'
}

// normalize returns the letters and digits of a text, in the form NFKC: ligatures and full-width letters are like others,
// and a bullet or a quotation mark that another font draws makes no difference.
func normalize(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsNumber(c) {
			return c
		}
		return -1
	}, norm.NFKC.String(text))
}
