package convert

import (
	"path/filepath"
	"strings"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
)

// places determines where results are stored, so that no two documents have the same place: of letter.docx and
// letter.odt come letter.docx.pdf and letter.odt.pdf, and not letter.pdf twice.
type places struct {
	// directory is the directory for results; empty if each is stored beside its document.
	directory string
	// taken has the document of each place.
	taken map[string]string
}

func newPlaces(directory string) *places {
	return &places{directory: directory, taken: map[string]string{}}
}

// place returns the place of a document's result, with or without the extension of the document.
func (p *places) place(d document, extension bool) string {
	directory := p.directory
	if directory == "" {
		directory = filepath.Dir(d.path)
	}
	name := d.name
	if !extension {
		name = strings.TrimSuffix(name, filepath.Ext(name))
	}
	if name == "" { // a name such as .docx
		name = d.name
	}
	return filepath.Join(directory, d.below, name)
}

// plan determines the places of documents that are known together.
func (p *places) plan(documents []document) error {
	extended := make([]bool, len(documents))
	for changed := true; changed; {
		changed = false
		users := map[string]int{}
		for i := range documents {
			documents[i].stem = p.place(documents[i], extended[i])
			users[documents[i].stem]++
		}
		for i := range documents {
			if users[documents[i].stem] > 1 && !extended[i] {
				extended[i], changed = true, true
			}
		}
	}
	for _, d := range documents {
		if other, taken := p.taken[d.stem]; taken && other != d.path {
			return invocation.Errorf(invocation.Usage, "%s and %s would have the same result %s: convert them with two commands, or give the directory "+
				"that both are in, whose structure is kept", other, d.path, d.stem)
		}
		p.taken[d.stem] = d.path
	}
	return nil
}

// add determines the place of a document that came later.
func (p *places) add(d *document) error {
	for _, extended := range []bool{false, true} {
		d.stem = p.place(*d, extended)
		if other, taken := p.taken[d.stem]; !taken || other == d.path {
			p.taken[d.stem] = d.path
			return nil
		}
	}
	return invocation.Errorf(invocation.Usage, "%s and %s would have the same result %s", p.taken[d.stem], d.path, d.stem)
}
