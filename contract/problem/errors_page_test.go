package problem_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/docmill/docmill/contract/internal/docpage"
	"github.com/docmill/docmill/contract/problem"
)

// The page for users is made from the catalogue, so that it cannot say anything else.
func TestErrorsPageIsCurrent(t *testing.T) {
	t.Parallel()
	docpage.RequireCurrent(t, "errors.md", errorsPage())
}

func errorsPage() string {
	var page strings.Builder
	page.WriteString(`# Problems and their codes

Made from ` + "`contract/problem/catalogue.go`" + ` by ` + "`go test ./contract/problem -update`" + `. A code never changes its meaning.

Every answer that is not a success is a problem: ` + "`type`, `title`, `status`, `detail`, `instance`, `code`, `trace_id`" + ` and, where
parts of the request are wrong, ` + "`errors[]`" + ` with all of them at once. A failed job carries the same codes in its ` + "`error`" + `.
"Again" tells whether the same request may succeed later unchanged.

| code | HTTP | what | how to mend it | again |
|---|---|---|---|---|
`)
	catalogue := problem.Codes()
	for _, code := range slices.Sorted(maps.Keys(catalogue)) {
		entry := catalogue[code]
		again := "no"
		if entry.Retryable {
			again = "yes"
		}
		fmt.Fprintf(&page, "| `%s` | %d | %s | %s | %s |\n", code, entry.Status, entry.Title, entry.Remedy, again)
	}
	page.WriteString(`
## Warnings

A job that succeeded may have ` + "`warnings`" + `: each a code and a ` + "`detail`" + ` of this one job.

| code | what | what can be done |
|---|---|---|
`)
	warnings := problem.Warnings()
	for _, code := range slices.Sorted(maps.Keys(warnings)) {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", code, warnings[code].Title, warnings[code].Remedy)
	}
	return page.String()
}
