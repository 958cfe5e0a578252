package engine

import (
	"encoding/json"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// ExportOptions are the options of the filter that writes the request's target, in the form that LibreOfficeKit's saveAs and
// soffice's --convert-to share; empty when there are none.
func ExportOptions(request Request) string {
	if request.Target.ID == "pdf" {
		return pdfOptions(request.Options)
	}
	return request.Target.Export.Options
}

// property is a value of a filter's options, as LibreOffice reads it from JSON (comphelper::JsonToPropertyValues).
type property struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func pdfOptions(options *conversionv1.Options) string {
	properties := map[string]property{}
	if options.GetPages() != "" {
		properties["PageRange"] = property{"string", options.GetPages()}
	}
	if len(properties) == 0 {
		return ""
	}
	text, _ := json.Marshal(properties) // strings can always be written
	return string(text)
}
