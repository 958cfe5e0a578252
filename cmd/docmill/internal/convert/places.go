package convert

import (
	"path/filepath"
	"strings"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
)

// places determines where results are stored, so that no two documents have the same place: letter.docx and letter.odt
// become letter.docx.pdf and letter.odt.pdf, and not letter.pdf twice.
type places struct {
	// directory is the directory for results; empty if each is stored beside its document.
	directory string
	// taken maps the key of each place that is taken to the key of its document.
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
	if name == "" || name == "." || name == ".." { // of .docx, ..docx and ...docx
		name = d.name
	}
	return filepath.Join(directory, d.below, name)
}

// plan determines the places of documents that are known together.
func (p *places) plan(documents []document) error {
	extended := make([]bool, len(documents))
	keys := make([]string, len(documents))
	for changed := true; changed; {
		changed = false
		users := map[string]int{}
		for i := range documents {
			documents[i].stem = p.place(documents[i], extended[i])
			keys[i] = keyOf(documents[i].stem)
			users[keys[i]]++
		}
		for i := range documents {
			if users[keys[i]] > 1 && !extended[i] {
				extended[i], changed = true, true
			}
		}
	}
	for i, d := range documents {
		if !p.take(keys[i], d) {
			return p.conflict(d)
		}
	}
	return nil
}

// add determines the place of a document that arrived later. shared is true if its directory has other documents whose
// names differ only in the extension. The place then has the extension of the document, no matter which of the documents
// arrived first, unless the document already has the place without it.
func (p *places) add(d *document, shared bool) error {
	for _, extended := range []bool{false, true} {
		d.stem = p.place(*d, extended)
		key := keyOf(d.stem)
		if shared && !extended && p.taken[key] != keyOf(d.path) {
			continue
		}
		if p.take(key, *d) {
			return nil
		}
	}
	return p.conflict(*d)
}

// take reserves a place for a document unless another has it. It reports whether the document has the place.
func (p *places) take(place string, d document) bool {
	other, taken := p.taken[place]
	if !taken {
		p.taken[place] = keyOf(d.path)
	}
	return !taken || other == keyOf(d.path)
}

func (p *places) conflict(d document) error {
	return invocation.Errorf(invocation.Usage, "%s and %s would have the same result %s: convert them with two commands, or give the directory "+
		"that both are in, whose structure is kept", p.taken[keyOf(d.stem)], d.path, d.stem)
}

// keyOf returns the absolute path of a file with the links of its directory resolved, so that all paths to a file have the
// same key. If the file itself is a link, the key is the path of the link.
func keyOf(path string) string {
	return filepath.Join(resolved(filepath.Dir(path)), filepath.Base(path))
}

// resolved returns the absolute path with all links resolved. The end of the path need not exist, and then stays as it is.
func resolved(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil { // there is no working directory
		return path
	}
	found, err := filepath.EvalSymlinks(absolute)
	switch {
	case err == nil:
		return found
	case absolute == filepath.Dir(absolute):
		return absolute
	}
	return filepath.Join(resolved(filepath.Dir(absolute)), filepath.Base(absolute))
}
