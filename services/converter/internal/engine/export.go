package engine

import (
	"github.com/docmill/docmill/services/converter/internal/pdfexport"
)

// ExportOptions are the options of the filter that writes the request's target, in the form that LibreOfficeKit's saveAs and
// soffice's --convert-to share; empty when there are none.
func ExportOptions(request Request) string {
	if request.Target.ID == "pdf" {
		return pdfexport.SaveOptions(request.Options)
	}
	return request.Target.ExportOptions
}
