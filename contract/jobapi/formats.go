package jobapi

import "github.com/docmill/docmill/contract/option"

// Formats is the response to GET /v1/formats: what the running converters convert, and the options of a submission.
type Formats struct {
	// Formats are the formats of documents.
	Formats []SourceFormat `json:"formats"`
	// Options are the options of a submission.
	Options []option.Option `json:"options"`
	// MaxUploadSize is the maximum size of a document in bytes.
	MaxUploadSize int64 `json:"max_upload_size"`
}

// SourceFormat is a format of documents, with the formats that they can be converted to.
type SourceFormat struct {
	// Format identifies the format.
	Format string `json:"format"`
	// Title is its English name.
	Title string `json:"title"`
	// MediaType is its registered media type.
	MediaType string `json:"media_type"`
	// Family is the kind of document; some options apply only to some families.
	Family string `json:"family"`
	// Extensions have no dots; the most common one is first.
	Extensions []string `json:"extensions"`
	// Targets are what such documents can be converted to.
	Targets []TargetFormat `json:"targets"`
}

// TargetFormat is a format that documents can be converted to.
type TargetFormat struct {
	// Format is the value of the option to.
	Format string `json:"format"`
	// Title is its English name.
	Title string `json:"title"`
	// MediaType is the media type of one result.
	MediaType string `json:"media_type"`
}
