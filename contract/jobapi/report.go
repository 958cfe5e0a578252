package jobapi

// Report tells how a conversion went, for the people who ask why it took so long or looks different. Its lists are never null.
type Report struct {
	// Engine is the program that converted and its version, such as "LibreOffice 7.4.7.2".
	Engine  string  `json:"engine,omitempty"`
	Seconds Seconds `json:"seconds"`
	// Fonts are those that the document names, as far as its format lets them be known: at most 100.
	Fonts []Font `json:"fonts"`
	// BlockedLinks are the addresses that the document wanted to be fetched and that were not: at most 20 of BlockedLinksTotal.
	BlockedLinks        []string `json:"blocked_links"`
	BlockedLinksTotal   int32    `json:"blocked_links_total"`
	MacrosBlocked       bool     `json:"macros_blocked"`
	HiddenSlidesLeftOut int32    `json:"hidden_slides_left_out"`
}

// Seconds are how long the steps of a job took. What it did not come to is left out.
type Seconds struct {
	// Queued is the time from the acceptance of the job to the beginning of its last attempt; the others are that attempt's.
	Queued *float64 `json:"queued,omitempty"`
	// Fetch is the time until the document lay on the converter's disk.
	Fetch *float64 `json:"fetch,omitempty"`
	// Load is the time until the document was open.
	Load *float64 `json:"load,omitempty"`
	// Export is the time until the result was written.
	Export *float64 `json:"export,omitempty"`
	// Store is the time until the result was stored.
	Store *float64 `json:"store,omitempty"`
}

// Font is a font that a document names.
type Font struct {
	Name string `json:"name"`
	// ReplacedBy stood in for it. It is empty, and left out, when the font was there, and when that is not known.
	ReplacedBy string `json:"replaced_by,omitempty"`
	// Found tells whether the font was there: installed, or inside the document.
	Found bool `json:"found"`
}
