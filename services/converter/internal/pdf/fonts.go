package pdf

import (
	"context"
	"slices"
	"strings"
)

// Fonts returns the fonts of a file of LibreOffice's by their PostScript names, such as "LiberationSans-Bold", each
// once. They are those of the first page: LibreOffice (7.4 and 25.2) writes the same list for all pages. pdffonts takes
// 5 ms for it, and 300 ms for the same list of each of 430 pages. A file that is not a complete PDF, or is encrypted,
// is ErrNotPDF.
func (t *Tools) Fonts(ctx context.Context, path string) ([]string, error) {
	if tagged, err := withPlain(path, (*plain).fonts); err == nil {
		return withoutTags(tagged), nil
	}
	output, err := inspect(ctx, t.pdffonts, path, "-f", "1", "-l", "1")
	if err != nil {
		return nil, err
	}
	return parseFonts(output), nil
}

// parseFonts reads the first column of a table: two header lines, then one line per font, whose name may begin with the
// tag of a subset: "BAAAAA+Carlito      TrueType …". A name with spaces is not a PostScript name; its first word is
// returned, which matches no font.
func parseFonts(output string) []string {
	var names []string
	body := false
	for line := range strings.Lines(output) {
		if !body {
			body = strings.HasPrefix(line, "-----")
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		names = append(names, name)
	}
	return withoutTags(names)
}

// withoutTags removes the tags of subsets, and then duplicates.
func withoutTags(tagged []string) []string {
	var names []string
	for _, name := range tagged {
		const tag = len("BAAAAA+")
		if len(name) > tag && name[tag-1] == '+' {
			name = name[tag:]
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
