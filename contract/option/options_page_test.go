package option_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docmill/docmill/contract/internal/docpage"
	"github.com/docmill/docmill/contract/option"
)

// TestOptionsPageIsCurrent checks the page for users, which is generated from the table.
func TestOptionsPageIsCurrent(t *testing.T) {
	t.Parallel()
	docpage.RequireCurrent(t, "options.md", optionsPage())
}

func optionsPage() string {
	var page strings.Builder
	page.WriteString(`# Options of a conversion

Generated from ` + "`contract/option`" + ` by ` + "`go test ./contract/option -update`" + `. ` + "`GET /v1/formats`" + ` returns the same for programs.

Omitted options keep the document's own settings. An option that does not apply, conflicts with another, or has an invalid
value is rejected with ` + "`option-invalid`" + ` before the job is queued; all errors are reported together. A secret is only accepted
as a form field, never in the URL, because URLs are written to logs. It is stored and sent only in encrypted form, and is neither shown nor logged.

| option | values | default | documents | targets | |
|---|---|---|---|---|---|
`)
	for _, o := range option.All() {
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s | %s |\n",
			o.Name, values(o), or(o.Default, ""), or(strings.Join(o.FamilyNames(), ", "), "all"), or(strings.Join(o.Targets, ", "), "all"), o.Description)
	}
	return page.String()
}

func values(o option.Option) string {
	switch o.Kind {
	case option.Choice:
		return strings.Join(o.Allowed, ", ")
	case option.Integer:
		return fmt.Sprintf("%d to %d", o.Minimum, o.Maximum)
	case option.Boolean:
		return "true, false"
	default:
		return fmt.Sprintf("%s, at most %d characters", strings.ReplaceAll(string(o.Kind), "-", " "), o.MaxLength)
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
