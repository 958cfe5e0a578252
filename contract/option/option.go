// Package option is the table of what a client may choose for a conversion. The gateway reads choices by it and lists it for
// clients; the converter and status read the same choices as typed fields of a message.
//
// An option is a field of the message Options or, when nobody but the converter may learn it, of the message Secrets; the
// field's name is the option's. A new one is a field there and a row here.
package option

import (
	"slices"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Kind says how an option's value is written.
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
	// Secret is a text that is never shown, stored or logged, and only taken from the field of a form: an address is written
	// to logs all along its way.
	Secret Kind = "secret"
)

// Option describes one option to clients.
type Option struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Kind        Kind   `json:"kind"`
	// Allowed lists the values of a Choice.
	Allowed []string `json:"allowed,omitempty"`
	// Minimum and Maximum bound an Integer.
	Minimum int `json:"minimum,omitempty"`
	Maximum int `json:"maximum,omitempty"`
	// MaxLength bounds a text, in characters.
	MaxLength int `json:"max_length,omitempty"`
	// Default is what holds when the option is not given; empty when that is the document's own choice.
	Default string `json:"default,omitempty"`
	// Families are those of the documents that it is for; empty: every one.
	Families []format.Family `json:"families,omitempty"`
	// Targets are the formats to convert into that it is for; empty: every one.
	Targets []string `json:"targets,omitempty"`
}

// Applies tells whether the option means something when a document of the family becomes the target.
func (o Option) Applies(family format.Family, target string) bool {
	return (len(o.Families) == 0 || slices.Contains(o.Families, family)) &&
		(len(o.Targets) == 0 || slices.Contains(o.Targets, target))
}

// All lists every option, in the order in which people look for it.
func All() []Option { return slices.Clone(all()) }

// all is made once, and nobody changes it.
var all = sync.OnceValue(func() []Option {
	options := table()
	for i, o := range options {
		if field, _ := fieldOf(o.Name); field != nil && field.Kind() == protoreflect.EnumKind {
			options[i].Kind, options[i].Allowed = Choice, words(field.Enum())
		}
	}
	return options
})

func find(name string) (Option, bool) {
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

func table() []Option {
	pdf := []string{"pdf"}
	pictures := []string{"png", "jpeg", "webp", "svg"}
	paged := slices.Concat(pdf, pictures)
	laidOut := append(slices.Clone(paged), "thumbnail")
	text := []format.Family{format.Text}
	slides := []format.Family{format.Presentation}
	sheets := []format.Family{format.Spreadsheet}
	return []Option{
		{Name: "password", Kind: Secret, MaxLength: maxPassword, Description: "Opens a document that is protected by a password."},
		{Name: "locale", Kind: Language, MaxLength: maxLanguage, Description: "The language to read the document in: how dates and numbers are written, and the paper of a document that names none."},
		{Name: "pages", Kind: PageRange, MaxLength: maxPages, Targets: paged, Description: "The pages to produce, counted from 1, such as 1-3,5,8-."},
		{Name: "update_indexes", Kind: Boolean, Default: "false", Families: text, Description: "Make tables of contents and other indexes anew."},

		{Name: "pdf_a", Targets: pdf, Description: "Make an archival PDF: PDF/A-1b, -2b or -3b."},
		{Name: "pdf_ua", Kind: Boolean, Default: "false", Targets: pdf, Description: "Make an accessible PDF (PDF/UA)."},
		{Name: "tagged", Kind: Boolean, Targets: pdf, Description: "Write the document's structure into the PDF."},
		{Name: "bookmarks", Kind: Boolean, Default: "true", Targets: pdf, Description: "Make bookmarks of headings or slides."},
		{Name: "form_fields", Kind: Boolean, Default: "true", Targets: pdf, Description: "Keep form fields so that the PDF can be filled in."},
		{Name: "comments", Targets: pdf, Description: "Leave comments out, or make them annotations."},
		{Name: "watermark", Kind: Text, MaxLength: maxWatermark, Targets: laidOut, Description: "A text across each page."},
		{Name: "initial_page", Kind: Integer, Minimum: 1, Maximum: maxPage, Targets: pdf, Description: "The page that a viewer opens the PDF at."},
		{Name: "initial_view", Targets: pdf, Description: "What a viewer shows beside the page: nothing, the bookmarks or thumbnails."},

		{Name: "image_quality", Kind: Integer, Minimum: 1, Maximum: 100, Targets: []string{"pdf", "jpeg", "webp"}, Description: "Quality of the JPEG pictures in a PDF, where 90 is usual, or of the pictures of pages."},
		{Name: "image_lossless", Kind: Boolean, Default: "false", Targets: pdf, Description: "Compress pictures without loss."},
		{Name: "image_dpi", Kind: Integer, Minimum: 51, Maximum: 1200, Targets: pdf, Description: "Make pictures with more dots per inch smaller."},

		{Name: "user_password", Kind: Secret, MaxLength: maxPDFPassword, Targets: pdf, Description: "What the PDF asks for before it opens."},
		{Name: "owner_password", Kind: Secret, MaxLength: maxPDFPassword, Targets: pdf, Description: "What lifts the PDF's restrictions. Without it a random one is used that nobody knows."},
		{Name: "allow_printing", Targets: pdf, Description: "How the PDF may be printed."},
		{Name: "allow_changes", Targets: pdf, Description: "What may be changed in the PDF; each value allows what those before it allow, too."},
		{Name: "allow_copying", Kind: Boolean, Default: "true", Targets: pdf, Description: "Whether text and pictures may be copied from the PDF."},

		{Name: "notes", Families: slides, Targets: laidOut, Description: "Leave notes out, add pages with them, or produce only those."},
		{Name: "hidden_slides", Kind: Boolean, Default: "false", Families: slides, Targets: laidOut, Description: "Produce hidden slides, too."},

		{Name: "single_page_sheets", Kind: Boolean, Default: "false", Families: sheets, Targets: laidOut, Description: "Make each sheet one page, however large."},
		{Name: "paper", Families: sheets, Targets: laidOut, Description: "The paper of every sheet."},
		{Name: "orientation", Families: sheets, Targets: laidOut, Description: "How the paper of every sheet lies."},
		{Name: "fit_width", Kind: Boolean, Default: "false", Families: sheets, Targets: laidOut, Description: "Make sheets smaller until their columns fit the width of the paper."},

		{Name: "width", Kind: Integer, Minimum: 16, Maximum: 10000, Targets: []string{"png", "jpeg", "webp", "thumbnail"}, Description: "Width of the picture of a page, in pixels."},
		{Name: "dpi", Kind: Integer, Minimum: 10, Maximum: 600, Targets: []string{"png", "jpeg", "webp"}, Description: "Resolution of the picture of a page, in dots per inch."},
	}
}

// fieldOf finds the field that holds an option, and whether it is a secret one.
func fieldOf(name string) (field protoreflect.FieldDescriptor, secret bool) {
	if field := (&conversionv1.Options{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name)); field != nil {
		return field, false
	}
	return (&conversionv1.Secrets{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name)), true
}
