package fidelity

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// family are the results of a family of documents.
type family struct {
	name    string
	results []Result
}

// families returns the results by family, in the order of the first document of each.
func families(results []Result) []family {
	var all []family
	for _, result := range results {
		i := slices.IndexFunc(all, func(f family) bool { return f.name == result.Family })
		if i < 0 {
			i, all = len(all), append(all, family{name: result.Family})
		}
		all[i].results = append(all[i].results, result)
	}
	return all
}

// mean returns the mean scores of a family; a document that was not converted has scores of 0.
func (f family) mean() Scores {
	scores := make([]Scores, len(f.results))
	for i, result := range f.results {
		scores[i] = result.Scores
	}
	return Mean(scores)
}

// WriteDocuments writes a table with a row for each document.
func WriteDocuments(to io.Writer, results []Result) error {
	table := newTable(to, "document")
	for _, result := range results {
		note := ""
		if result.Err != nil {
			note = "failed"
		}
		row(table, result.String(), "%.3f", result.Scores, note)
	}
	return table.Flush()
}

// WriteFamilies writes a table with the mean scores of each family, and of all documents. A second row of a family has the
// changes since its scores were recorded.
func WriteFamilies(to io.Writer, results []Result, changes map[string]Scores) error {
	table := newTable(to, "family")
	for _, f := range families(results) {
		row(table, f.name, "%.3f", f.mean(), fmt.Sprintf("%d documents", len(f.results)))
		if change, found := changes[f.name]; found {
			row(table, "", "%+.3f", change, "since recorded")
		}
	}
	row(table, "all", "%.3f", family{results: results}.mean(), fmt.Sprintf("%d documents", len(results)))
	return table.Flush()
}

func newTable(to io.Writer, first string) *tabwriter.Writer {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, first)
	for m := range measures {
		fmt.Fprintf(table, "\t%s", m)
	}
	fmt.Fprintln(table)
	return table
}

func row(table io.Writer, first, format string, scores Scores, note string) {
	fmt.Fprint(table, first)
	for _, score := range scores {
		fmt.Fprintf(table, "\t"+format, score)
	}
	fmt.Fprintf(table, "\t%s\n", note)
}
