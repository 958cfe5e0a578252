package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/jobapi"
)

// Report describes what happened in one or several runs. The zero value is the report of no run.
type Report struct {
	seeds  []string
	took   time.Duration
	faults map[string]*record

	accepted, succeeded, failed int
	// canceled, retried, deleted and expired count the jobs to which that happened.
	canceled, retried, deleted, expired int
	// repeats are the submissions that were sent again under their key, and replays those that were answered with the job.
	repeats, replays int64
	// webhooks arrived with webhookAttempts requests. webhooksAgain of them were accepted more than once, always with the same id.
	webhooks, webhookAttempts, webhooksAgain int
	// reused counts the jobs with a copy of the result of an earlier job. attempts is the number of attempts of the other jobs that
	// succeeded.
	reused, attempts int
	// refused counts the rejected submissions by code, and answers counts the failed polls and downloads.
	refused, answers map[string]int
	// unknown is the number of submissions without an answer.
	unknown    int
	left       audit
	violations []violation
}

// newReport returns the report of a run that has ended.
func newReport(seed uint64, took time.Duration, l *ledger, a audit, records map[string]*record) *Report {
	r := &Report{seeds: []string{strconv.FormatUint(seed, 10)}, took: took, left: a, faults: records, answers: l.answers, unknown: l.unknowns()}
	r.refused, r.repeats, r.replays = make(map[string]int), l.repeats.Load(), l.replays.Load()
	for code, n := range l.refused {
		r.refused[string(code)] += n
	}
	for _, s := range l.submissions() {
		r.accepted++
		r.canceled += ones(s.seen().Status == jobapi.Canceled)
		r.retried += ones(s.seen().Generation > 0)
		r.deleted += ones(s.wish.deleted)
		r.expired += ones(s.wish.expired)
		switch last := s.seen(); {
		case last.Result != nil:
			r.succeeded++
			if last.Report != nil && last.Report.Cached {
				r.reused++
			} else {
				r.attempts += int(last.Attempt)
			}
		case last.Error != nil:
			r.failed++
		}
	}
	r.violations = l.violations
	return r
}

func ones(set bool) int {
	if set {
		return 1
	}
	return 0
}

// Err returns [ErrViolated] if Docmill did something wrong.
func (r *Report) Err() error {
	if len(r.violations) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d violations", ErrViolated, len(r.violations))
}

// Violated reports whether there is a violation with the verdict.
func (r *Report) Violated(verdict string) bool {
	return slices.ContainsFunc(r.violations, func(one violation) bool { return one.verdict == verdict })
}

// Add adds the report of another run.
func (r *Report) Add(other *Report) {
	r.seeds = append(r.seeds, other.seeds...)
	r.took += other.took
	if r.faults == nil {
		r.faults, r.refused, r.answers = make(map[string]*record), make(map[string]int), make(map[string]int)
	}
	for name, one := range other.faults {
		if r.faults[name] == nil {
			r.faults[name] = &record{}
		}
		r.faults[name].add(*one)
	}
	r.accepted += other.accepted
	r.succeeded += other.succeeded
	r.failed += other.failed
	r.canceled += other.canceled
	r.retried += other.retried
	r.deleted += other.deleted
	r.expired += other.expired
	r.repeats += other.repeats
	r.replays += other.replays
	r.webhooks += other.webhooks
	r.webhookAttempts += other.webhookAttempts
	r.webhooksAgain += other.webhooksAgain
	r.attempts += other.attempts
	r.reused += other.reused
	addCounts(r.refused, other.refused)
	addCounts(r.answers, other.answers)
	r.unknown += other.unknown
	r.left.add(other.left)
	r.violations = append(r.violations, other.violations...)
}

func addCounts(to, from map[string]int) {
	for name, n := range from {
		to[name] += n
	}
}

// Print prints a table of the faults and a table of the jobs and verdicts, both in Markdown, and all violations.
func (r *Report) Print(to io.Writer) {
	fmt.Fprintf(to, "\n| fault | times injected | max. jobs in flight | longest recovery |\n|---|---:|---:|---:|\n")
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		one := r.faults[name]
		if one.impossible > 0 {
			name = fmt.Sprintf("%s (not possible %d times)", name, one.impossible)
		}
		fmt.Fprintf(to, "| %s | %d | %d | %.1f s |\n", name, one.times, one.inFlight, one.recovery.Seconds())
	}
	fmt.Fprintf(to, "\n| result | |\n|---|---|\n")
	row := func(name, format string, arguments ...any) {
		fmt.Fprintf(to, "| %s | %s |\n", name, fmt.Sprintf(format, arguments...))
	}
	row("seeds", "%s", strings.Join(r.seeds, ", "))
	row("duration", "%s", r.took.Round(time.Second))
	row("accepted jobs", "%d, of which %d succeeded and %d failed", r.accepted, r.succeeded, r.failed)
	row("jobs that were", "canceled: %d, retried: %d, deleted: %d, expired: %d", r.canceled, r.retried, r.deleted, r.expired)
	row("jobs with a copy of another result", "%d", r.reused)
	row("submissions sent again", "%d, of which %d were answered with the job of the first one", r.repeats, r.replays)
	row("webhooks", "%d with %d requests; %d were accepted more than once", r.webhooks, r.webhookAttempts, r.webhooksAgain)
	row("attempts per other success", "%.2f", float64(r.attempts)/float64(max(r.succeeded-r.reused, 1)))
	row("rejected submissions", "%s", counts(r.refused))
	row("submissions without an answer", "%d, of which %d have a job", r.unknown, r.left.unknownJobs)
	row("failed polls and downloads", "%s", counts(r.answers))
	row("withdrawn submissions", "%d", r.left.withdrawn)
	row("results of losing attempts", "%d", r.left.losingResults)
	row("documents without a job", "%d", r.left.unknownSources)
	row("orphans deleted by the sweep at the end", "%d", r.left.swept)
	of := make(map[string]int)
	for _, one := range r.violations {
		of[one.verdict]++
	}
	for _, verdict := range verdicts() {
		row(verdict, "%d", of[verdict])
	}
	for _, one := range r.violations {
		fmt.Fprintf(to, "\n%s  %s: %s\n", one.at.Format(time.TimeOnly), one.verdict, one.detail)
	}
}

// counts lists counters by their names.
func counts(of map[string]int) string {
	if len(of) == 0 {
		return "0"
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(list, ", ")
}
