package client

import "context"

// Formats is what a Docmill can convert.
type Formats struct {
	// Formats are the formats of documents.
	Formats []Format `json:"formats"`
	// Options are the options of a conversion.
	Options []ConversionOption `json:"options"`
	// MaxUploadSize is the largest document that is accepted, in bytes.
	MaxUploadSize int64 `json:"max_upload_size"`
}

// Format is a format of documents.
type Format struct {
	Format    string `json:"format"`
	Title     string `json:"title"`
	MediaType string `json:"media_type"`
	// Family is the kind of document, which decides which options apply.
	Family string `json:"family"`
	// Extensions have no dots; the most common one is first.
	Extensions []string `json:"extensions"`
	// Targets are what such a document can be converted into.
	Targets []TargetFormat `json:"targets"`
}

// TargetFormat is what a document can be converted into.
type TargetFormat struct {
	// Format is the value of the option "to".
	Format    string `json:"format"`
	Title     string `json:"title"`
	MediaType string `json:"media_type"`
}

// ConversionOption describes an option of a conversion.
type ConversionOption struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Kind is how a value is written: boolean, integer, choice, text, page-range, language or secret.
	Kind string `json:"kind"`
	// Allowed lists the values of a choice.
	Allowed []string `json:"allowed"`
	// Minimum and Maximum bound an integer.
	Minimum int `json:"minimum"`
	Maximum int `json:"maximum"`
	// MaxLength bounds a text, in characters.
	MaxLength int `json:"max_length"`
	// Default applies when the option is omitted; empty if the document decides.
	Default string `json:"default"`
	// Families and Targets are what the option applies to; empty means all.
	Families []string `json:"families"`
	Targets  []string `json:"targets"`
}

// Formats returns what the Docmill can convert, and the options.
func (c *Client) Formats(ctx context.Context) (Formats, error) {
	var formats Formats
	_, err := c.get(ctx, "/v1/formats", nil, 0, &formats)
	return formats, err
}
