package pdf

import (
	"context"
	"strings"
)

// Fonts lists the fonts of a file of LibreOffice's by their PostScript names, such as "LiberationSans-Bold", each once. They are
// those of the first page: LibreOffice (7.4 and 25.2) gives all pages the same list. pdffonts takes 5 ms for it, and 300 ms for
// the same answer about each of 430 pages. A file that is no complete PDF, or that asks for a password, is ErrNotPDF.
func (i *Inspector) Fonts(ctx context.Context, path string) ([]string, error) {
	output, err := ask(ctx, i.pdffonts, path, "-f", "1", "-l", "1")
	if err != nil {
		return nil, err
	}
	return fontNames(output), nil
}

// fontNames reads the first column of a table: two lines of head, then one line a font, whose name begins with the tag of a
// subset: "BAAAAA+Carlito      TrueType …". Names with blanks in them are no PostScript names; of those the beginning is enough
// to belong to nothing.
func fontNames(output string) []string {
	var names []string
	known := map[string]bool{}
	body := false
	for line := range strings.Lines(output) {
		if !body {
			body = strings.HasPrefix(line, "-----")
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		const tag = len("BAAAAA+")
		if len(name) > tag && name[tag-1] == '+' {
			name = name[tag:]
		}
		if name != "" && !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	return names
}
