package option_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docmill/docmill/contract/internal/docpage"
	"github.com/docmill/docmill/contract/option"
)

// The page for users is made from the table, so that it cannot say anything else.
func TestOptionsPageIsCurrent(t *testing.T) {
	t.Parallel()
	docpage.RequireCurrent(t, "options.md", optionsPage())
}

func optionsPage() string {
	var page strings.Builder
	page.WriteString(`# Options of a conversion

Made from ` + "`contract/option/option.go`" + ` by ` + "`go test ./contract/option -update`" + `. ` + "`GET /v1/formats`" + ` says the same to programs.

An option that is not given leaves the choice to the document. One that means nothing for a document and its target, that
excludes another one, or whose value is wrong, is refused with ` + "`option-invalid`" + ` before anything is queued; all of them at once.
A secret is taken only as the field of a form, never from an address, which is written to logs all along its way. It travels
sealed, and is neither stored, shown nor logged.

| option | values | default | documents | targets | |
|---|---|---|---|---|---|
`)
	for _, o := range option.All() {
		var families []string
		for _, family := range o.Families {
			families = append(families, string(family))
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s | %s |\n",
			o.Name, values(o), or(o.Default, ""), or(strings.Join(families, ", "), "all"), or(strings.Join(o.Targets, ", "), "all"), o.Description)
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
