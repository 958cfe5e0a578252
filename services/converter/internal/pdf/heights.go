package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"

	"golang.org/x/sys/unix"
)

var (
	descriptorPattern = regexp.MustCompile(`/FontDescriptor (\d{1,7}) 0 R`)
	heightsPattern    = regexp.MustCompile(`/Ascent 0\s*/Descent 0\s`)
	fontNamePattern   = regexp.MustCompile(`/FontName\s*/([^\s/<>()\[\]#]+)[\s/>]`)
)

// maxDescriptor is the length of the longest description of a font that is changed. LibreOffice's have 200 bytes.
const maxDescriptor = 1 << 10

// CorrectHeights writes the heights of fonts into a PDF of LibreOffice 7.4, which writes 0: how far lines reach above and below the
// baseline, in thousandths of the font's size. The page looks the same, but programs that select or search text then know where
// it is. heights returns those of the font with a PostScript name. A file that is not as simple as LibreOffice's stays as it is,
// and so do fonts that have their heights.
func CorrectHeights(path string, heights func(postScript string) (ascent, descent int, known bool)) error {
	corrections, err := withPlain(path, func(p *plain) ([]correction, error) { return p.corrections(heights) })
	if errors.Is(err, errNotPlain) || err == nil && len(corrections) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open the PDF: %w", err)
	}
	for _, c := range corrections {
		_, failed := file.WriteAt(c.content, c.offset)
		err = errors.Join(err, failed)
	}
	return errors.Join(err, file.Close())
}

// correction replaces bytes of a file.
type correction struct {
	offset  int64
	content []byte
}

// corrections returns what has to be replaced in the descriptions of the fonts.
func (p *plain) corrections(heights func(string) (int, int, bool)) ([]correction, error) {
	fonts, err := p.fontObjects()
	if err != nil {
		return nil, err
	}
	var corrections []correction
	for _, font := range fonts {
		id, err := number(descriptorPattern, font)
		if err != nil {
			continue
		}
		offset, err := p.offset(id)
		if err != nil {
			return nil, err
		}
		text, err := p.object(id, maxDescriptor)
		if err != nil {
			return nil, err
		}
		name := fontNamePattern.FindSubmatch(text)
		if name == nil || !heightsPattern.Match(text) {
			continue
		}
		ascent, descent, known := heights(withoutTags([]string{string(name[1])})[0])
		if corrected := withHeights(text, ascent, descent); known && corrected != nil {
			corrections = append(corrections, correction{offset + int64(len(fmt.Sprintf("%d 0 obj", id))), corrected})
		}
	}
	return corrections, nil
}

// withHeights returns the description of a font with heights, in the same length: it takes the place from line breaks between keys and
// values, where none is needed. It returns nil if that is not enough.
func withHeights(text []byte, ascent, descent int) []byte {
	corrected := heightsPattern.ReplaceAll(text, fmt.Appendf(nil, "/Ascent %d/Descent %d\n", ascent, descent))
	if surplus := len(corrected) - len(text); surplus > 0 {
		corrected = bytes.Replace(corrected, []byte("\n/"), []byte("/"), surplus)
	}
	if len(corrected) > len(text) {
		return nil
	}
	return append(corrected, bytes.Repeat([]byte(" "), len(text)-len(corrected))...)
}
