package problem

import (
	"strings"
	"unicode/utf8"
)

// maxExcerpt is the maximum length of an excerpt in bytes; an id of a job has 36.
const maxExcerpt = 64

// Excerpt returns the beginning of what a client sent, at most 64 bytes of valid UTF-8, so that a problem can repeat it.
func Excerpt(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if len(text) <= maxExcerpt {
		return text
	}
	cut := maxExcerpt
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
