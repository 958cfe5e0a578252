package problem

import "maps"

// Warnings of a job that succeeded: what the owner of the document may want to know about the result.
const (
	FontSubstituted Code = "font-substituted"
	LinksBlocked    Code = "links-blocked"
	MacrosBlocked   Code = "macros-blocked"
	SlidesHidden    Code = "slides-hidden"
)

// Warning describes the code of a warning.
type Warning struct {
	// Title says what the warning means. It is the same for every occurrence.
	Title string
	// Remedy says what can be done about it.
	Remedy string
}

// Warnings returns a copy of the table of warnings. Their codes are different from those of problems.
func Warnings() map[Code]Warning { return maps.Clone(warnings) }

// warnings is never changed.
var warnings = map[Code]Warning{
	FontSubstituted: {
		"A font is not installed and was substituted; line breaks may differ",
		"Embed the font in the document, or ask the operator to install it.",
	},
	LinksBlocked: {
		"Images, data or templates outside the document were not fetched",
		"Embed them in the document. The job's report lists them.",
	},
	MacrosBlocked: {
		"The document contains macros, which are never run",
		"Run the macros before uploading if their output must appear.",
	},
	SlidesHidden: {
		"Hidden slides were omitted",
		"Unhide them in the presentation, or request them with the option hidden_slides.",
	},
}
