package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints the result of a run: a table of the faults, the verdicts, and everything that Docmill did wrong.
func report(to io.Writer, seed uint64, took time.Duration, l *ledger, a audit, records map[string]*record) {
	fmt.Fprintf(to, "\n| fault | times | jobs in flight, up to | longest recovery |\n|---|---:|---:|---:|\n")
	for _, name := range slices.Sorted(maps.Keys(records)) {
		one := records[name]
		if one.impossible > 0 {
			name = fmt.Sprintf("%s (not possible %d times)", name, one.impossible)
		}
		fmt.Fprintf(to, "| %s | %d | %d | %.1f s |\n", name, one.times, one.inFlight, one.recovery.Seconds())
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nseed\t%d\nduration\t%s\n", seed, took.Round(time.Second))
	succeeded, failed, attempts := 0, 0, 0
	for _, s := range l.submissions() {
		switch last := s.seen(); {
		case last.Result != nil:
			succeeded++
			attempts += int(last.Attempt)
		case last.Error != nil:
			failed++
		}
	}
	fmt.Fprintf(table, "accepted jobs\t%d, of which %d succeeded and %d failed\n", len(l.submissions()), succeeded, failed)
	fmt.Fprintf(table, "attempts per success\t%.2f\n", float64(attempts)/float64(max(succeeded, 1)))
	fmt.Fprintf(table, "refused submissions\t%s\n", counts(l.refused))
	fmt.Fprintf(table, "submissions without an answer\t%d, of which %d have a job\n", l.unknowns(), a.unknownJobs)
	fmt.Fprintf(table, "polls and downloads refused\t%s\n", counts(l.answers))
	fmt.Fprintf(table, "withdrawn submissions\t%d\n", a.withdrawn)
	fmt.Fprintf(table, "results of losing attempts\t%d\n", a.losingResults)
	fmt.Fprintf(table, "documents of submissions without an answer\t%d\n", a.unknownSources)
	for _, verdict := range verdicts() {
		n := 0
		for _, one := range l.violations {
			if one.verdict == verdict {
				n++
			}
		}
		fmt.Fprintf(table, "%s\t%d\n", verdict, n)
	}
	_ = table.Flush()
	for _, one := range l.violations {
		fmt.Fprintf(to, "\n%s  %s: %s\n", one.at.Format(time.TimeOnly), one.verdict, one.detail)
	}
}

// counts lists counters by their names.
func counts[K ~string](of map[K]int) string {
	if len(of) == 0 {
		return "0"
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(list, ", ")
}
