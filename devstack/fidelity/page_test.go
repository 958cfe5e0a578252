package fidelity

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the table of scores in docs/fidelity.md")

const (
	tableBegin = "<!-- Generated from testdata/fidelity/scores.tsv by `go test ./devstack/fidelity -update`. -->\n"
	tableEnd   = "<!-- End of the generated table. -->\n"
)

// TestScoresOnThePageAreCurrent compares the table in docs/fidelity.md with the recorded scores.
func TestScoresOnThePageAreCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "fidelity.md")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(content), tableBegin)
	require.True(t, found)
	_, after, found := strings.Cut(rest, tableEnd)
	require.True(t, found)
	current := before + tableBegin + scoresTable(t) + tableEnd + after
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(current), 0o644))
		return
	}
	require.Equal(t, current, string(content), "run the test with -update")
}

// scoresTable returns a table in Markdown with the recorded scores of each family and version of LibreOffice.
func scoresTable(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "testdata", "fidelity")
	pairs, err := Pairs(dir)
	require.NoError(t, err)
	recorded, err := ReadRecorded(filepath.Join(dir, RecordedName))
	require.NoError(t, err)
	table := "\n| family | documents | LibreOffice |"
	for m := range measures {
		table += fmt.Sprintf(" %s |", m)
	}
	table += "\n|---|---|---|" + strings.Repeat("---|", int(measures)) + "\n"
	for _, engine := range []string{"7.4", "25.2"} {
		var results []Result
		for _, pair := range pairs {
			scores, found := recorded[version{engine, pair.String()}]
			require.True(t, found, "%s has no scores of LibreOffice %s: run make fidelity UPDATE=1 with it", pair, engine)
			results = append(results, Result{Pair: pair, Scores: scores})
		}
		for _, f := range append(families(results), family{"**all**", results}) {
			table += fmt.Sprintf("| %s | %d | %s |", f.name, len(f.results), engine)
			for _, score := range f.mean() {
				table += fmt.Sprintf(" %.2f |", score)
			}
			table += "\n"
		}
	}
	return table + "\n"
}
