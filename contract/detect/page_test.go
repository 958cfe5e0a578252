package detect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/internal/docpage"
)

// The page for users is generated from the table, so that the two cannot differ.
func TestFormatsPageIsCurrent(t *testing.T) {
	t.Parallel()
	docpage.RequireCurrent(t, "formats.md", formatsPage())
}

// TestEveryTargetIsDescribed checks that the API's documentation describes every target.
func TestEveryTargetIsDescribed(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## Targets\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for target := range format.AllTargets() {
		require.Contains(t, section, "`"+target.ID+"`", "describe the target in docs/api.md")
	}
}

func formatsPage() string {
	limits := DefaultLimits()
	var page strings.Builder
	page.WriteString("# Formats\n\nGenerated from `contract/format` by `go test ./contract/detect -update`.\n")
	for _, family := range []format.Family{format.Presentation, format.Text, format.Spreadsheet, format.Drawing} {
		targets := ""
		rows := ""
		for f := range format.All() {
			if f.Family != family {
				continue
			}
			var names []string
			for target := range f.Targets() {
				names = append(names, "`"+target.ID+"`")
			}
			targets = strings.Join(names, ", ")
			rows += fmt.Sprintf("| `%s` | %s | %s | `%s` |\n", f.ID, f.Title, "."+strings.Join(f.Extensions(), " ."), f.MediaType)
		}
		fmt.Fprintf(&page, "\n## %s\n\nTargets: %s.\n\n| format | description | extensions | media type |\n|---|---|---|---|\n%s",
			strings.ToUpper(string(family)[:1])+string(family)[1:]+"s", targets, rows)
	}
	fmt.Fprintf(&page, `
## How the format of a document is determined

The content decides, not the name. If the content is another format of the same family, that format is used (a pptx named .ppt,
an HTML page named .doc); any other mismatch is `+"`file-type-contradicted`"+`. The name only distinguishes text from comma-separated
values, binary templates and shows from documents, and the kinds of encrypted Office documents.

An encrypted document needs the option `+"`password`"+`. A workbook that Excel only protects from changes opens without it.

These documents are rejected as `+"`document-too-complex`"+` before they are queued: packages of more than %d files, packages that grow
by more than %d GiB when they are unpacked, packages of which more than %d MiB are compressed better than %d to one, packages nested
more than %d deep, images of more than %d million pixels, and XML whose entities expand to more than %d KiB.

Images and other files that a document links to are never fetched, and macros never run.
`, limits.Entries, limits.Growth>>30, limits.Packed>>20, limits.Ratio, limits.Depth, limits.Pixels/1e6, limits.Entity>>10)
	return page.String()
}
