// Package pdfexport says a client's options in the words of LibreOffice's PDF export.
package pdfexport

import (
	"encoding/json"
	"strconv"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// property is one item of LibreOffice's FilterData, as LibreOfficeKit takes it: a type and the value as a text.
// https://wiki.documentfoundation.org/API/Tutorials/PDF_export lists the names.
type property struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// properties gathers what was chosen.
type properties map[string]property

func (p properties) boolean(name string, value bool) {
	p[name] = property{"boolean", strconv.FormatBool(value)}
}
func (p properties) text(name, value string) { p[name] = property{"string", value} }
func (p properties) number(name string, value int32) {
	p[name] = property{"long", strconv.Itoa(int(value))}
}

// SaveOptions gives the options of a save as PDF, in JSON.
// Passwords and permissions are not among them: LibreOffice 7.4 encrypts with RC4 and 128 bits.
func SaveOptions(options *conversionv1.Options) string {
	p := properties{}
	// Otherwise a relative link becomes one to the folder that the document was converted in.
	p.boolean("ExportLinksRelativeFsys", true)
	p.document(options)
	p.pictures(options)
	p.parts(options)
	p.view(options)
	text, _ := json.Marshal(p) // strings can always be written
	return string(text)
}

// given calls set with the value of an option that was chosen.
func given[T any](value *T, set func(T)) {
	if value != nil {
		set(*value)
	}
}

func (p properties) booleanIfGiven(name string, value *bool) {
	given(value, func(v bool) { p.boolean(name, v) })
}

// document is what kind of PDF it becomes.
func (p properties) document(o *conversionv1.Options) {
	versions := map[conversionv1.PdfA]int32{
		conversionv1.PdfA_PDF_A_1B: 1, conversionv1.PdfA_PDF_A_2B: 2, conversionv1.PdfA_PDF_A_3B: 3,
	}
	if version, archival := versions[o.GetPdfA()]; archival {
		p.number("SelectPdfVersion", version)
	}
	// LibreOffice 25.2 leaves them out if it is not told, 7.4 does not.
	p.boolean("ExportFormFields", o == nil || o.FormFields == nil || o.GetFormFields())
	if o != nil {
		p.booleanIfGiven("PDFUACompliance", o.PdfUa)
		p.booleanIfGiven("UseTaggedPDF", o.Tagged)
		p.booleanIfGiven("ExportBookmarks", o.Bookmarks)
		p.booleanIfGiven("SinglePageSheets", o.SinglePageSheets)
		given(o.Watermark, func(text string) { p.text("Watermark", text) })
	}
}

func (p properties) pictures(o *conversionv1.Options) {
	if o == nil {
		return
	}
	p.booleanIfGiven("UseLosslessCompression", o.ImageLossless)
	given(o.ImageQuality, func(quality int32) { p.number("Quality", quality) })
	given(o.ImageDpi, func(dpi int32) {
		p.boolean("ReduceImageResolution", true)
		p.number("MaxImageResolution", dpi)
	})
}

// parts is what of the document is in it.
func (p properties) parts(o *conversionv1.Options) {
	if o == nil {
		return
	}
	given(o.Pages, func(pages string) { p.text("PageRange", pages) })
	p.booleanIfGiven("ExportHiddenSlides", o.HiddenSlides)
	if o.GetNotes() != conversionv1.Notes_NOTES_UNSPECIFIED {
		p.boolean("ExportNotesPages", o.GetNotes() != conversionv1.Notes_NOTES_NONE)
		p.boolean("ExportOnlyNotesPages", o.GetNotes() == conversionv1.Notes_NOTES_ONLY)
	}
	if o.GetComments() != conversionv1.Comments_COMMENTS_UNSPECIFIED {
		p.boolean("ExportNotes", o.GetComments() == conversionv1.Comments_COMMENTS_ANNOTATIONS)
	}
}

// view is how a viewer opens it.
func (p properties) view(o *conversionv1.Options) {
	views := map[conversionv1.InitialView]int32{
		conversionv1.InitialView_INITIAL_VIEW_PAGE: 0, conversionv1.InitialView_INITIAL_VIEW_OUTLINE: 1,
		conversionv1.InitialView_INITIAL_VIEW_THUMBNAILS: 2,
	}
	if view, chosen := views[o.GetInitialView()]; chosen {
		p.number("InitialView", view)
	}
	if o != nil {
		given(o.InitialPage, func(page int32) { p.number("InitialPage", page) })
	}
}
