// Package stored defines the JSON documents that the job stores keep in columns: a job's options, warnings and
// report, and the records of other submissions. They are deliberately types of their own. Neither a change to the API nor
// one to the domain may change what
// is in databases.
//
// The encoding is version 1:
//   - options: an object from option names to strings, booleans and numbers;
//   - warnings: an array of {"code", "detail"};
//   - report: a [Report], whose member "v" is the version. Rows that were written before the version was introduced do not
//     have it; they are version 1 as well;
//   - retry: a [Retry];
//   - other submissions: an array of [Record].
//
// Adding an optional member is compatible: readers ignore members that they do not know. Any other change needs a new
// version (for the arrays and options, an object with "v" or a new column), and a release that reads it before the first
// release that writes it, because replicas of both run during a rolling update.
package stored

import (
	"fmt"

	"github.com/docmill/docmill/services/status/job"
)

// version is the version of the encoding that this package reads and writes.
const version = 1

// Report is the encoding of a job.Report.
type Report struct {
	Version             int      `json:"v,omitempty"`
	Engine              string   `json:"engine,omitempty"`
	Seconds             Seconds  `json:"seconds"`
	Fonts               []Font   `json:"fonts"`
	BlockedLinks        []string `json:"blocked_links"`
	BlockedLinksTotal   int32    `json:"blocked_links_total"`
	MacrosBlocked       bool     `json:"macros_blocked"`
	HiddenSlidesLeftOut int32    `json:"hidden_slides_left_out"`

	MissingCharacters      string `json:"missing_characters,omitempty"`
	MissingCharactersTotal int32  `json:"missing_characters_total,omitempty"`

	Cached bool `json:"cached,omitempty"`
}

// Seconds is the encoding of a job.Seconds.
type Seconds struct {
	Queued *float64 `json:"queued,omitempty"`
	Fetch  *float64 `json:"fetch,omitempty"`
	Load   *float64 `json:"load,omitempty"`
	Export *float64 `json:"export,omitempty"`
	Store  *float64 `json:"store,omitempty"`
}

// Font is the encoding of a job.Font.
type Font struct {
	Name       string `json:"name"`
	ReplacedBy string `json:"replaced_by,omitempty"`
	Found      bool   `json:"found"`

	SameMetrics bool `json:"same_metrics,omitempty"`
}

// Warning is the encoding of a job.Warning.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// FromReport returns the encoding of a report; nil for nil.
func FromReport(r *job.Report) *Report {
	if r == nil {
		return nil
	}
	return &Report{
		Version: version, Engine: r.Engine, Seconds: Seconds(r.Seconds),
		Fonts:        convert(r.Fonts, func(f job.Font) Font { return Font(f) }),
		BlockedLinks: r.BlockedLinks, BlockedLinksTotal: r.BlockedLinksTotal,
		MacrosBlocked: r.MacrosBlocked, HiddenSlidesLeftOut: r.HiddenSlidesLeftOut,
		MissingCharacters: r.MissingCharacters, MissingCharactersTotal: r.MissingCharactersTotal,
		Cached: r.Cached,
	}
}

// ToReport returns the report that was encoded; nil for nil.
func ToReport(r *Report) (*job.Report, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // no report is not an error
	}
	if r.Version > version {
		return nil, fmt.Errorf("the stored report has version %d; this program knows version %d", r.Version, version)
	}
	return &job.Report{
		Engine: r.Engine, Seconds: job.Seconds(r.Seconds),
		Fonts:        convert(r.Fonts, func(f Font) job.Font { return job.Font(f) }),
		BlockedLinks: r.BlockedLinks, BlockedLinksTotal: r.BlockedLinksTotal,
		MacrosBlocked: r.MacrosBlocked, HiddenSlidesLeftOut: r.HiddenSlidesLeftOut,
		MissingCharacters: r.MissingCharacters, MissingCharactersTotal: r.MissingCharactersTotal,
		Cached: r.Cached,
	}, nil
}

// FromWarnings returns the encoding of warnings; nil for nil.
func FromWarnings(warnings []job.Warning) []Warning {
	return convert(warnings, func(w job.Warning) Warning { return Warning(w) })
}

// ToWarnings returns the warnings that were encoded; nil for nil.
func ToWarnings(warnings []Warning) []job.Warning {
	return convert(warnings, func(w Warning) job.Warning { return job.Warning(w) })
}

// convert distinguishes nil from empty, because the encoding does.
func convert[From, To any](in []From, one func(From) To) []To {
	if in == nil {
		return nil
	}
	out := make([]To, len(in))
	for i, element := range in {
		out[i] = one(element)
	}
	return out
}
