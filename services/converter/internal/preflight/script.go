package preflight

import (
	"archive/zip"
	"context"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/officefile"
)

const (
	// maxLetters is how many letters of a document ScriptOf examines: a few pages. The result must be known before the
	// document is opened, so it must not take long.
	maxLetters = 5000
	// maxText bounds the bytes of XML that it examines for them, and maxTextUnits the work, to 0.2 s.
	maxText      = 4 << 20
	maxTextUnits = 20_000_000
	// At least one in eastAsianShare letters must be Chinese, Japanese or Korean; a document with fewer is in another
	// language and has some names. Of these, at least one in ownShare must be Korean or Japanese.
	eastAsianShare, ownShare = 10, 10
)

// Script is the writing system of a document's text, as far as it matters.
type Script string

// The writing systems.
const (
	OtherScript Script = ""
	Korean      Script = "korean"
	Japanese    Script = "japanese"
	Chinese     Script = "chinese"
)

// ScriptOf returns the writing system of a text or presentation of Office Open XML, as shown by the letters in the beginning
// of its text. It is OtherScript for other formats, and for documents that cannot be read. Only the text counts: the names of
// styles, fonts and shapes are in the language of the author's Office.
func ScriptOf(ctx context.Context, r io.ReaderAt, size int64) Script {
	budget := officefile.NewBudget(ctx, maxTextUnits)
	p, err := officefile.OpenPackage(r, size, budget)
	if err != nil {
		return OtherScript
	}
	var found letters
	left := int64(maxText)
	for _, file := range p.File[:min(len(p.File), maxParts)] {
		if hasBodyText(officefile.PartKey(file.Name)) && found.all < maxLetters && left > 0 && budget.Err() == nil {
			left -= found.read(p, file, left, budget)
		}
	}
	return found.script()
}

// hasBodyText reports whether a part has the text that readers see first: not that of masters, layouts and notes.
func hasBodyText(key string) bool {
	directory, name := path.Split(key)
	return directory == "word/" && strings.HasPrefix(name, "document") && path.Ext(name) == ".xml" ||
		directory == "ppt/slides/" && path.Ext(name) == ".xml"
}

// letters counts letters.
type letters struct{ all, korean, japanese, chinese int }

// read counts the letters of a part, up to a number of bytes, and returns how many bytes it has read.
func (l *letters) read(p *officefile.Package, file *zip.File, limit int64, budget *officefile.Budget) int64 {
	part, err := p.Open(file, limit)
	if err != nil {
		return 0
	}
	defer part.Close()
	limited := &io.LimitedReader{R: part, N: limit}
	_ = officefile.ScanTagsAndText(limited, budget, func(officefile.Tag) bool { return true }, l.add)
	return limit - limited.N
}

// add counts the letters of a text. It returns false when there are enough.
func (l *letters) add(text []byte) bool {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if i++; 'a' <= c|0x20 && c|0x20 <= 'z' {
				l.all++
			}
			continue
		}
		r, length := utf8.DecodeRune(text[i:])
		i += length
		if !unicode.IsLetter(r) {
			continue
		}
		l.all++
		switch {
		case unicode.Is(unicode.Hangul, r):
			l.korean++
		case unicode.In(r, unicode.Hiragana, unicode.Katakana):
			l.japanese++
		case unicode.Is(unicode.Han, r):
			l.chinese++
		}
	}
	return l.all < maxLetters
}

func (l *letters) script() Script {
	eastAsian := l.korean + l.japanese + l.chinese
	switch {
	case eastAsian == 0 || eastAsian*eastAsianShare < l.all:
		return OtherScript
	case l.korean*ownShare >= eastAsian && l.korean >= l.japanese:
		return Korean
	case l.japanese*ownShare >= eastAsian:
		return Japanese
	default:
		return Chinese
	}
}
