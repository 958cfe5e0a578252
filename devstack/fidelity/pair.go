package fidelity

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Manifest is the name of the file that lists the pairs of a directory.
const Manifest = "manifest.tsv"

// Pair is a document and the PDF that Microsoft Office exported from it.
type Pair struct {
	// Family is a set of documents of the same kind and origin: oc-docx.
	Family string
	// Document and Reference are the paths of the document and of its PDF.
	Document, Reference string
	// Span are the pages to compare. The zero value means all.
	Span Span
}

// String returns the family and the name of the document without its extension: oc-docx/Policy.
func (p Pair) String() string {
	name := filepath.Base(p.Document)
	return p.Family + "/" + strings.TrimSuffix(name, filepath.Ext(name))
}

// span returns the pages to compare if the longer of both PDFs has that many.
func (p Pair) span(pages int) Span {
	if p.Span == (Span{}) {
		return Span{First: 1, Last: pages}
	}
	return p.Span
}

// Span is a range of pages, counted from 1. It includes the last one.
type Span struct{ First, Last int }

// Pairs reads the manifest of a directory. Each line has the family, the document, the reference and, optionally, the pages to
// compare (1-25), separated by tabs. Paths are relative to the directory.
func Pairs(dir string) ([]Pair, error) {
	file, err := os.Open(filepath.Join(dir, Manifest))
	if err != nil {
		return nil, fmt.Errorf("read the list of pairs: %w", err)
	}
	defer file.Close()
	lines := tabSeparated(file)
	var pairs []Pair
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return pairs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file.Name(), err)
		}
		pair, err := newPair(dir, fields)
		if err != nil {
			line, _ := lines.FieldPos(0)
			return nil, fmt.Errorf("%s, line %d: %w", file.Name(), line, err)
		}
		pairs = append(pairs, pair)
	}
}

// tabSeparated returns a reader of lines of fields separated by tabs, and of comments.
func tabSeparated(from io.Reader) *csv.Reader {
	lines := csv.NewReader(from)
	lines.Comma, lines.Comment, lines.LazyQuotes, lines.FieldsPerRecord = '\t', '#', true, -1
	return lines
}

func newPair(dir string, fields []string) (Pair, error) {
	const required = 3
	if len(fields) < required {
		return Pair{}, errors.New("the family, the document and its PDF are required, separated by tabs")
	}
	pair := Pair{Family: fields[0], Document: filepath.Join(dir, fields[1]), Reference: filepath.Join(dir, fields[2])}
	if len(fields) > required && fields[required] != "" {
		if _, err := fmt.Sscanf(fields[required], "%d-%d", &pair.Span.First, &pair.Span.Last); err != nil {
			return Pair{}, fmt.Errorf("invalid pages %q: want a range such as 1-25", fields[required])
		}
	}
	return pair, nil
}
