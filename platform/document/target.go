package document

import "slices"

// Target is a format that documents are converted into.
type Target struct {
	// ID identifies the target in the API and in messages. It is the extension of the result, without a dot.
	ID string
	// MediaType is the media type of the result.
	MediaType string
	// Title is its English name for people.
	Title string
	// ExportFilter is LibreOffice's internal name of the filter that writes it. It depends on the source's family.
	ExportFilter string
}

// Targets lists what the format can be converted into. It is never empty for a format of [Formats].
func (f Format) Targets() []Target {
	if f.recognisedOnly {
		return nil
	}
	filters := map[Family]string{
		Presentation: "impress_pdf_Export",
		Text:         "writer_pdf_Export",
		Spreadsheet:  "calc_pdf_Export",
		Drawing:      "draw_pdf_Export",
	}
	return []Target{{
		ID:           "pdf",
		MediaType:    "application/pdf",
		Title:        "PDF",
		ExportFilter: filters[f.Family],
	}}
}

// Target finds one of the format's targets by its identifier.
func (f Format) Target(id string) (Target, bool) {
	targets := f.Targets()
	if i := slices.IndexFunc(targets, func(t Target) bool { return t.ID == id }); i >= 0 {
		return targets[i], true
	}
	return Target{}, false
}
