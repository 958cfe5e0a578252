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

// The page for users is generated from the catalog, so that the two cannot differ.
func TestErrorsPageIsCurrent(t *testing.T) {
	t.Parallel()
	docpage.RequireCurrent(t, "errors.md", errorsPage())
}

func errorsPage() string {
	var page strings.Builder
	page.WriteString(`# Problems and their codes

Generated from ` + "`contract/problem/catalog.go`" + ` by ` + "`go test ./contract/problem -update`" + `. A code never changes its meaning.

Every error response is a problem (RFC 9457) with ` + "`type`, `title`, `status`, `detail`, `remedy`, `instance`, `code`, `trace_id`" + ` and, if
parts of the request are invalid, ` + "`errors[]`" + ` with all of them. The ` + "`error`" + ` of a failed job has ` + "`code`, `detail`, `remedy` and `retryable`" + ` with the same meaning.
"Retryable" means that the same request may succeed later without changes.

| code | HTTP | title | remedy | retryable |
|---|---|---|---|---|
`)
	catalog := problem.Codes()
	for _, code := range slices.Sorted(maps.Keys(catalog)) {
		entry := catalog[code]
		retryable := "no"
		if entry.Retryable {
			retryable = "yes"
		}
		fmt.Fprintf(&page, "| `%s` | %d | %s | %s | %s |\n", code, entry.Status, entry.Title, entry.Remedy, retryable)
	}
	page.WriteString(`
## Warnings

A job that succeeded may have ` + "`warnings`" + `. Each has a ` + "`code`" + `, a ` + "`detail`" + ` about this job and a ` + "`severity`" + `:
` + "`information`" + ` if nothing is missing and lines break in the same places, otherwise ` + "`warning`" + `.

| code | meaning | remedy |
|---|---|---|
`)
	warnings := problem.Warnings()
	for _, code := range slices.Sorted(maps.Keys(warnings)) {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", code, warnings[code].Title, warnings[code].Remedy)
	}
	return page.String()
}
