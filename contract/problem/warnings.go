package problem

import "maps"

// Warnings of a job that succeeded: what the owner of the document may want to know about the result.
const (
	FontReplaced    Code = "font-replaced"
	FontSubstituted Code = "font-substituted"
	GlyphsMissing   Code = "glyphs-missing"
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
	// Severity says whether the result may look different because of it.
	Severity Severity
}

// Severity is how much a warning matters.
type Severity string

// The severities.
const (
	// Information means that nothing is missing and that lines break in the same places.
	Information Severity = "information"
	// Warned means that the result may look different, or lack something.
	Warned Severity = "warning"
)

// SeverityOf returns the severity of a warning. A code that this release does not know is of a newer converter's, and counts as
// a warning.
func SeverityOf(code Code) Severity {
	if warning, known := warnings[code]; known {
		return warning.Severity
	}
	return Warned
}

// Warnings returns a copy of the table of warnings. Their codes are different from those of problems.
func Warnings() map[Code]Warning { return maps.Clone(warnings) }

// warnings is never changed.
var warnings = map[Code]Warning{
	FontReplaced: {
		"A font is not installed; one with the same widths was used, so lines break in the same places",
		"If the shapes of the letters matter, embed the font in the document, or ask the operator to install it.",
		Information,
	},
	FontSubstituted: {
		"A font is not installed and was substituted; line breaks may differ",
		"Embed the font in the document, or ask the operator to install it.",
		Warned,
	},
	GlyphsMissing: {
		"Some characters are in no font; they are missing or shown as boxes",
		"Ask the operator to install a font that has them, or embed one in the document.",
		Warned,
	},
	LinksBlocked: {
		"Images, data or templates outside the document were not fetched",
		"Embed them in the document. The job's report lists them.",
		Warned,
	},
	MacrosBlocked: {
		"The document contains macros, which are never run",
		"Run the macros before uploading if their output must appear.",
		Warned,
	},
	SlidesHidden: {
		"Hidden slides were omitted",
		"Unhide them in the presentation, or request them with the option hidden_slides.",
		Warned,
	},
}
