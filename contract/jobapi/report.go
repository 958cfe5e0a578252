package jobapi

// Report describes a conversion, to explain why it took long or why the result looks different. Its lists are never
// null.
type Report struct {
	// Engine is the name and version of the program that converted, such as "LibreOffice 7.4.7.2".
	Engine  string  `json:"engine,omitempty"`
	Seconds Seconds `json:"seconds"`
	// Fonts are the fonts that the document refers to, where its format makes them easy to find: at most 100.
	Fonts []Font `json:"fonts"`
	// BlockedLinks are the external addresses that were not fetched: at most 20 of BlockedLinksTotal.
	BlockedLinks        []string `json:"blocked_links"`
	BlockedLinksTotal   int32    `json:"blocked_links_total"`
	MacrosBlocked       bool     `json:"macros_blocked"`
	HiddenSlidesLeftOut int32    `json:"hidden_slides_left_out"`
	// MissingCharacters are characters of the text that no font has, each once: at most 20 of MissingCharactersTotal. The
	// result shows boxes instead of them, or nothing.
	MissingCharacters      string `json:"missing_characters,omitempty"`
	MissingCharactersTotal int32  `json:"missing_characters_total"`
	// Cached is true if the result was copied from an earlier job with the same document and options. The rest of the report then
	// describes that conversion. It is omitted otherwise.
	Cached bool `json:"cached,omitempty"`
}

// Seconds are the durations of a job's steps. Steps that were not reached are omitted.
type Seconds struct {
	// Queued is the time from the acceptance of the job to the beginning of its last attempt. The other durations are
	// those of that attempt.
	Queued *float64 `json:"queued,omitempty"`
	// Fetch is the time it took to copy the document to the converter's disk.
	Fetch *float64 `json:"fetch,omitempty"`
	// Load is the time it took to open the document.
	Load *float64 `json:"load,omitempty"`
	// Export is the time it took to write the result.
	Export *float64 `json:"export,omitempty"`
	// Store is the time it took to store the result.
	Store *float64 `json:"store,omitempty"`
}

// Font is a font that a document refers to.
type Font struct {
	Name string `json:"name"`
	// ReplacedBy is the font that was used instead. It is empty, and omitted, if the font was found or if the
	// substitute is unknown.
	ReplacedBy string `json:"replaced_by,omitempty"`
	// SameMetrics reports whether that font has the same widths and line height, so that lines break where they would with
	// the font itself.
	SameMetrics bool `json:"same_metrics,omitempty"`
	// Found reports whether the font was available: installed, or embedded in the document.
	Found bool `json:"found"`
}
