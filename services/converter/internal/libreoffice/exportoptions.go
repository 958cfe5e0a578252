package libreoffice

import (
	"encoding/json"
	"strconv"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// ExportOptions are the options that the PDF export applies. Pages are renumbered before: see hiddenslides.go.
var ExportOptions = []option.Name{
	option.PDFA, option.PDFUA, option.Tagged, option.Bookmarks, option.FormFields, option.Comments, option.Watermark,
	option.InitialPage, option.InitialView, option.ImageQuality, option.ImageLossless, option.ImageDPI,
	option.Pages, option.Notes, option.HiddenSlides, option.SinglePageSheets,
}

// exportOptions returns the options of the filter that writes the request's target, in the form that LibreOfficeKit's
// saveAs takes; empty if there are none.
func exportOptions(request engine.Request) string {
	if request.Target.ID == format.TargetPDF {
		return pdfOptions(request.Options)
	}
	return request.Target.ExportOptions
}

// LibreOffice's numbers for the values of options.
var (
	pdfVersions = map[conversionv1.PdfA]int32{
		conversionv1.PdfA_PDF_A_1B: 1, conversionv1.PdfA_PDF_A_2B: 2, conversionv1.PdfA_PDF_A_3B: 3,
	}
	initialViews = map[conversionv1.InitialView]int32{
		conversionv1.InitialView_INITIAL_VIEW_PAGE: 0, conversionv1.InitialView_INITIAL_VIEW_OUTLINE: 1,
		conversionv1.InitialView_INITIAL_VIEW_THUMBNAILS: 2,
	}
)

// property is one item of LibreOffice's FilterData, as LibreOfficeKit takes it: a type and the value as text.
// https://wiki.documentfoundation.org/API/Tutorials/PDF_export lists the names.
type property struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// filterData are the properties of a PDF export.
type filterData map[string]property

func (f filterData) boolean(name string, value bool) {
	f[name] = property{"boolean", strconv.FormatBool(value)}
}
func (f filterData) text(name, value string) { f[name] = property{"string", value} }
func (f filterData) number(name string, value int32) {
	f[name] = property{"long", strconv.Itoa(int(value))}
}

// pdfOptions returns the options of an export as PDF, in JSON. Passwords and permissions are not among them:
// LibreOffice 7.4 encrypts with RC4 and 128 bits.
func pdfOptions(options *conversionv1.Options) string {
	f := filterData{}
	// Otherwise a relative link becomes a link to the directory that the document was converted in.
	f.boolean("ExportLinksRelativeFsys", true)
	// LibreOffice 25.2 omits form fields by default, 7.4 does not.
	f.boolean("ExportFormFields", options == nil || options.FormFields == nil || options.GetFormFields())
	if options != nil {
		f.kind(options)
		f.images(options)
		f.content(options)
		f.view(options)
	}
	text, _ := json.Marshal(f) // strings can always be encoded
	return string(text)
}

// given calls set with the value of an option if the client has set it.
func given[T any](value *T, set func(T)) {
	if value != nil {
		set(*value)
	}
}

func (f filterData) booleanIfGiven(name string, value *bool) {
	given(value, func(v bool) { f.boolean(name, v) })
}

// kind sets what kind of PDF is written.
func (f filterData) kind(o *conversionv1.Options) {
	if version, archival := pdfVersions[o.GetPdfA()]; archival {
		f.number("SelectPdfVersion", version)
	}
	f.booleanIfGiven("PDFUACompliance", o.PdfUa)
	f.booleanIfGiven("UseTaggedPDF", o.Tagged)
	f.booleanIfGiven("ExportBookmarks", o.Bookmarks)
	f.booleanIfGiven("SinglePageSheets", o.SinglePageSheets)
	given(o.Watermark, func(text string) { f.text("Watermark", text) })
}

// images sets how images in the document are compressed.
func (f filterData) images(o *conversionv1.Options) {
	f.booleanIfGiven("UseLosslessCompression", o.ImageLossless)
	given(o.ImageQuality, func(quality int32) { f.number("Quality", quality) })
	given(o.ImageDpi, func(dpi int32) {
		f.boolean("ReduceImageResolution", true)
		f.number("MaxImageResolution", dpi)
	})
}

// content sets what of the document is exported.
func (f filterData) content(o *conversionv1.Options) {
	given(o.Pages, func(pages string) { f.text("PageRange", pages) })
	f.booleanIfGiven("ExportHiddenSlides", o.HiddenSlides)
	if o.GetNotes() != conversionv1.Notes_NOTES_UNSPECIFIED {
		f.boolean("ExportNotesPages", o.GetNotes() != conversionv1.Notes_NOTES_NONE)
		f.boolean("ExportOnlyNotesPages", o.GetNotes() == conversionv1.Notes_NOTES_ONLY)
	}
	if o.GetComments() != conversionv1.Comments_COMMENTS_UNSPECIFIED {
		f.boolean("ExportNotes", o.GetComments() == conversionv1.Comments_COMMENTS_ANNOTATIONS)
	}
}

// view sets how a viewer opens the PDF.
func (f filterData) view(o *conversionv1.Options) {
	if view, chosen := initialViews[o.GetInitialView()]; chosen {
		f.number("InitialView", view)
	}
	given(o.InitialPage, func(page int32) { f.number("InitialPage", page) })
}
