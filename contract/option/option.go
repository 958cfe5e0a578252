// Package option is the table of the options of a conversion. The gateway uses it to validate the options that a client
// sets and to list all options for clients; the converter and the status service read the same options as typed fields
// of a message.
//
// An option is a field of the message Options or, if only the converter may see it, of the message Secrets; the field's
// name is the option's. A new option needs a field there, a [Name] and a row here, and exactly one translator in the
// converter, which a test of package conversion checks.
package option

import (
	"slices"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Kind is how an option's value is written.
type Kind string

// The kinds.
const (
	// Boolean is true or false.
	Boolean Kind = "boolean"
	// Integer is a whole number in decimal digits.
	Integer Kind = "integer"
	// Choice is one of a few words.
	Choice Kind = "choice"
	// Text is any text without control characters.
	Text Kind = "text"
	// PageRange lists pages, counted from 1: "1-3,5,8-".
	PageRange Kind = "page-range"
	// Language is a BCP 47 tag: "de" or "pt-BR".
	Language Kind = "language"
	// Secret is a text that is never shown or logged, is stored only in encrypted form, and is only accepted as a form field: URLs are
	// written to logs.
	Secret Kind = "secret"
)

// Option describes one option to clients.
type Option struct {
	Name        Name   `json:"name"`
	Description string `json:"description"`
	Kind        Kind   `json:"kind"`
	// Allowed lists the values of a Choice.
	Allowed []string `json:"allowed,omitempty"`
	// Minimum and Maximum bound an Integer.
	Minimum int `json:"minimum,omitempty"`
	Maximum int `json:"maximum,omitempty"`
	// MaxLength bounds a text, in characters.
	MaxLength int `json:"max_length,omitempty"`
	// Default is the value that applies when the option is omitted; empty if the document decides.
	Default string `json:"default,omitempty"`
	// Families are the kinds of documents that the option applies to; empty means all.
	Families []format.Family `json:"families,omitempty"`
	// Targets are the target formats that the option applies to; empty means all.
	Targets []string `json:"targets,omitempty"`
}

// FamilyNames returns the Families as strings.
func (o Option) FamilyNames() []string {
	var names []string
	for _, family := range o.Families {
		names = append(names, string(family))
	}
	return names
}

// Applies reports whether the option applies when a document of the family is converted into the target.
func (o Option) Applies(family format.Family, target string) bool {
	return (len(o.Families) == 0 || slices.Contains(o.Families, family)) &&
		(len(o.Targets) == 0 || slices.Contains(o.Targets, target))
}

// All returns every option, in the order in which people look for it.
func All() []Option { return slices.Clone(all()) }

// all is the table, completed from the descriptors of the messages. It is not changed after it was created.
var all = sync.OnceValue(func() []Option {
	options := slices.Clone(table)
	for i, o := range options {
		if field, _ := fieldOf(o.Name); field != nil && field.Kind() == protoreflect.EnumKind {
			options[i].Kind, options[i].Allowed = Choice, words(field.Enum())
		}
	}
	return options
})

func find(name Name) (Option, bool) {
	if i := slices.IndexFunc(all(), func(o Option) bool { return o.Name == name }); i >= 0 {
		return all()[i], true
	}
	return Option{}, false
}

// Bounds of texts, in characters.
const (
	maxWatermark = 128
	// PDF has passwords of at most 127 bytes of UTF-8 (ISO 32000-2, 7.6.4.3.3); office documents of up to 255 characters.
	maxPassword    = 255
	maxPDFPassword = 127
	maxPages       = 256
	maxLanguage    = 35 // RFC 5646, 4.4.1
)

// Targets that share options.
var (
	onlyPDF     = []string{format.TargetPDF}
	pixelImages = []string{format.TargetPNG, format.TargetJPEG, format.TargetWebP}
	images      = slices.Concat(pixelImages, []string{format.TargetSVG})
	// paged targets contain all requested pages; a thumbnail shows only the first.
	paged   = slices.Concat(onlyPDF, images)
	laidOut = slices.Concat(paged, []string{format.TargetThumbnail})
)

// Families that share options.
var (
	texts  = []format.Family{format.Text}
	slides = []format.Family{format.Presentation}
	sheets = []format.Family{format.Spreadsheet}
)

// table has a row for each option. The Kind and the values of a Choice come from its field.
var table = []Option{
	{
		Name: Password, Kind: Secret, MaxLength: maxPassword,
		Description: "Password that opens the document.",
	},
	{
		Name: Locale, Kind: Language, MaxLength: maxLanguage,
		Description: "Language in which to read the document: it determines the format of dates and numbers, and the paper size if the document has none.",
	},
	{
		Name: Pages, Kind: PageRange, MaxLength: maxPages, Targets: paged,
		Description: "Pages to produce, counted from 1, such as 1-3,5,8-.",
	},
	{
		Name: UpdateIndexes, Kind: Boolean, Default: "false", Families: texts,
		Description: "Update tables of contents and other indexes.",
	},
	{
		Name: Layout, Default: "office", Families: slices.Concat(texts, slides), Targets: laidOut,
		Description: "Follow the page layout of Microsoft Office, where possible, or that of LibreOffice.",
	},

	{Name: PDFA, Targets: onlyPDF, Description: "Produce an archival PDF: PDF/A-1b, -2b or -3b."},
	{Name: PDFUA, Kind: Boolean, Default: "false", Targets: onlyPDF, Description: "Produce an accessible PDF (PDF/UA)."},
	{Name: Tagged, Kind: Boolean, Targets: onlyPDF, Description: "Write the document's structure into the PDF."},
	{
		Name: Bookmarks, Kind: Boolean, Default: "true", Targets: onlyPDF,
		Description: "Create bookmarks from headings or slides.",
	},
	{
		Name: FormFields, Kind: Boolean, Default: "true", Targets: onlyPDF,
		Description: "Keep form fields so that the PDF can be filled in.",
	},
	{Name: Comments, Targets: onlyPDF, Description: "Omit comments, or convert them to annotations."},
	{
		Name: Watermark, Kind: Text, MaxLength: maxWatermark, Targets: laidOut,
		Description: "Text to print across each page.",
	},
	{
		Name: InitialPage, Kind: Integer, Minimum: 1, Maximum: maxPage, Targets: onlyPDF,
		Description: "Page at which a viewer opens the PDF.",
	},
	{
		Name: InitialView, Targets: onlyPDF,
		Description: "What a viewer shows next to the page: nothing, the bookmarks or thumbnails.",
	},

	{
		Name: ImageQuality, Kind: Integer, Minimum: 1, Maximum: 100,
		Targets:     []string{format.TargetPDF, format.TargetJPEG, format.TargetWebP},
		Description: "Quality of the JPEG images in a PDF, where 90 is usual, or of page images.",
	},
	{
		Name: ImageLossless, Kind: Boolean, Default: "false", Targets: onlyPDF,
		Description: "Compress images without loss.",
	},
	{
		Name: ImageDPI, Kind: Integer, Minimum: 51, Maximum: 1200, Targets: onlyPDF,
		Description: "Reduce images with more dots per inch to this resolution.",
	},

	{
		Name: UserPassword, Kind: Secret, MaxLength: maxPDFPassword, Targets: onlyPDF,
		Description: "Password required to open the PDF.",
	},
	{
		Name: OwnerPassword, Kind: Secret, MaxLength: maxPDFPassword, Targets: onlyPDF,
		Description: "Password that lifts the PDF's restrictions. If omitted, a random one is used and not kept.",
	},
	{Name: AllowPrinting, Targets: onlyPDF, Description: "How the PDF may be printed."},
	{
		Name: AllowChanges, Targets: onlyPDF,
		Description: "What may be changed in the PDF; each value also allows what the values before it allow.",
	},
	{
		Name: AllowCopying, Kind: Boolean, Default: "true", Targets: onlyPDF,
		Description: "Whether text and images may be copied from the PDF.",
	},

	{Name: Notes, Families: slides, Targets: laidOut, Description: "Omit notes, add pages with them, or produce only those pages."},
	{
		Name: HiddenSlides, Kind: Boolean, Default: "false", Families: slides, Targets: laidOut,
		Description: "Include hidden slides.",
	},

	{
		Name: SinglePageSheets, Kind: Boolean, Default: "false", Families: sheets, Targets: laidOut,
		Description: "Put each sheet on one page, however large.",
	},
	{Name: Paper, Families: sheets, Targets: laidOut, Description: "Paper size of every sheet."},
	{Name: Orientation, Families: sheets, Targets: laidOut, Description: "Paper orientation of every sheet."},
	{
		Name: FitWidth, Kind: Boolean, Default: "false", Families: sheets, Targets: laidOut,
		Description: "Shrink sheets until their columns fit the width of the paper.",
	},

	{
		Name: Width, Kind: Integer, Minimum: 16, Maximum: 10000,
		Targets:     slices.Concat(pixelImages, []string{format.TargetThumbnail}),
		Description: "Width of a page image, in pixels.",
	},
	{
		Name: DPI, Kind: Integer, Minimum: 10, Maximum: 600, Targets: pixelImages,
		Description: "Resolution of a page image, in dots per inch.",
	},
}

// fieldOf returns the field that holds an option, and whether it is a field of Secrets.
func fieldOf(name Name) (field protoreflect.FieldDescriptor, secret bool) {
	if field := (&conversionv1.Options{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name)); field != nil {
		return field, false
	}
	return (&conversionv1.Secrets{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name)), true
}
