package problem

// The warnings of a job that succeeded: what the owner of the document may want to know of the result.
const (
	FontSubstituted Code = "font-substituted"
	LinksBlocked    Code = "links-blocked"
	MacrosBlocked   Code = "macros-blocked"
	SlidesHidden    Code = "slides-hidden"
)

// Warning is what the catalogue says of the code of a warning.
type Warning struct {
	// Title says what it means; the same words for every occurrence.
	Title string
	// Remedy says what can be done about it.
	Remedy string
}

// Warnings lists every code of a warning. None of them is a problem's code.
func Warnings() map[Code]Warning {
	return map[Code]Warning{
		FontSubstituted: {"A font that the document names is not installed, and another one stood in for it: lines may break elsewhere", "Embed the font in the document, or ask the operator to install it."},
		LinksBlocked:    {"Pictures, data or templates that lie outside of the document were not fetched", "Put them into the document. The job's report lists them."},
		MacrosBlocked:   {"The document has macros, which never run", "Run them before, if what they make is to be seen."},
		SlidesHidden:    {"Hidden slides were left out", "Show them in the presentation, or ask for them with the option hidden_slides."},
	}
}
