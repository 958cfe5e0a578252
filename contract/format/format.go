// Package format is the table of document formats: which ones are accepted, what each can be converted into, and what
// LibreOffice calls them.
//
// The table is immutable. Values of [Format] and [Target] may be copied freely, and everything here is safe for
// concurrent use and allocates nothing unless documented otherwise: requests ask the table some hundred times each,
// and a table made anew for each upload halved the rate of submissions.
package format

import (
	"iter"
	"slices"
)

// Family groups the formats that one application of LibreOffice opens. A document whose name promises another format
// of the same family is accepted in the format of its content.
type Family string

// The families of formats.
const (
	Presentation Family = "presentation"
	Text         Family = "text"
	Spreadsheet  Family = "spreadsheet"
	Drawing      Family = "drawing"
)

// Import names the filter that LibreOffice must read a document with, where its own detection would have to guess.
type Import struct {
	// Filter is LibreOffice's internal name of the filter. It is empty where LibreOffice's own detection is reliable.
	Filter string
	// Options are the filter's options (FilterOptions), such as the character set of a text. They may be empty.
	Options string
}

// Format is one kind of document.
type Format struct {
	// ID identifies the format in the API and in messages. It is the usual extension, in lower case and without a
	// dot. The converter saves a document with this extension, whatever its original name.
	ID string
	// MediaType is the registered media type.
	MediaType string
	// Family is the group of formats it belongs to.
	Family Family
	// Title is its English name for people.
	Title string
	// Import tells LibreOffice how to read the document. For texts it assumes UTF-8 and commas; package detect finds
	// the actual character set and separator.
	Import Import
	// ImportFilter is LibreOffice's internal name of the filter that reads the format. A LibreOffice without that
	// filter, because a package of the distribution is not installed, cannot convert the format.
	ImportFilter string
	// MainType is the content type of the main part of an Office Open XML package; empty for other formats. It is the
	// only difference between pptx, ppsx, potx and pptm.
	MainType string
	// DetectOnly marks a format that is recognized but cannot be converted (yet): documents are refused as
	// unsupported rather than as unknown.
	DetectOnly bool

	aliases aliases
}

// aliases are further extensions with the same meaning; those that are empty do not count. An array keeps formats
// comparable.
type aliases [3]string

// All returns the formats that can be converted, in the order in which people look for them.
func All() iter.Seq[Format] {
	return func(yield func(Format) bool) {
		for _, f := range table {
			if !f.DetectOnly && !yield(f) {
				return
			}
		}
	}
}

// ByID returns the convertible format with an identifier.
func ByID(id string) (Format, bool) {
	f, ok := AnyByID(id)
	return f, ok && !f.DetectOnly
}

// AnyByID returns the format with an identifier, whether or not it can be converted. So do the other functions that
// look up a single format.
func AnyByID(id string) (Format, bool) { return lookup(indexByID, id) }

// ByExtension returns the format whose documents have an extension, given in lower case and without a dot.
func ByExtension(extension string) (Format, bool) { return lookup(indexByExtension, extension) }

// ByMediaType returns the first format with a media type. The binary formats of Office share theirs with their
// templates.
func ByMediaType(mediaType string) (Format, bool) { return lookup(indexByMediaType, mediaType) }

// ByMainType returns the format of an Office Open XML package whose main part has a content type.
func ByMainType(mainType string) (Format, bool) { return lookup(indexByMainType, mainType) }

// Extensions returns the extensions of the format's documents, without dots, the usual one first. The slice is the
// caller's.
func (f Format) Extensions() []string {
	extensions := []string{f.ID}
	for _, alias := range f.aliases {
		if alias != "" {
			extensions = append(extensions, alias)
		}
	}
	return extensions
}

// table is the one list of formats. To add one, add a row here and, unless it is a package of Office Open XML or
// OpenDocument, a signature in detect/content.go. LibreOffice writes EPUB books but does not read them.
var table = slices.Concat(presentations(), otherPresentations(), texts(), otherTexts(), spreadsheets(), drawings(), images())

// The indexes of the table. Where several formats share a key, the first one counts.
var (
	indexByID        = indexBy(func(f Format) []string { return []string{f.ID} })
	indexByExtension = indexBy(Format.Extensions)
	indexByMediaType = indexBy(func(f Format) []string { return []string{f.MediaType} })
	indexByMainType  = indexBy(func(f Format) []string { return []string{f.MainType} })
)

// indexBy returns the places of the formats in the table by their keys.
func indexBy(keys func(Format) []string) map[string]int {
	index := map[string]int{}
	for i, f := range table {
		for _, key := range keys(f) {
			if _, taken := index[key]; !taken && key != "" {
				index[key] = i
			}
		}
	}
	return index
}

func lookup(index map[string]int, key string) (Format, bool) {
	if i, ok := index[key]; ok {
		return table[i], true
	}
	return Format{}, false
}

const (
	// OpenDocument begins the media types of all OpenDocument formats.
	OpenDocument = "application/vnd.oasis.opendocument."
	// FlatSuffix ends the media types of OpenDocument formats in one XML file.
	FlatSuffix = "-flat-xml"

	openXML    = "application/vnd.openxmlformats-officedocument."
	powerPoint = "application/vnd.ms-powerpoint."
	msWord     = "application/vnd.ms-word."
	msExcel    = "application/vnd.ms-excel."
)

func presentations() []Format {
	return []Format{
		{
			ID: "pptx", Family: Presentation, Title: "PowerPoint presentation",
			ImportFilter: "Impress MS PowerPoint 2007 XML",
			MediaType:    openXML + "presentationml.presentation",
			MainType:     openXML + "presentationml.presentation.main+xml",
		},
		{
			ID: "ppt", Family: Presentation, Title: "PowerPoint 97-2003 presentation",
			ImportFilter: "MS PowerPoint 97",
			MediaType:    "application/vnd.ms-powerpoint",
		},
		{
			ID: "odp", Family: Presentation, Title: "OpenDocument presentation", ImportFilter: "impress8",
			MediaType: OpenDocument + "presentation",
		},
		{
			// Shows, templates and presentations have the same bytes; only their names differ.
			ID: "pps", Family: Presentation, Title: "PowerPoint 97-2003 show",
			ImportFilter: "MS PowerPoint 97 AutoPlay",
			MediaType:    "application/vnd.ms-powerpoint",
		},
		{
			ID: "ppsx", Family: Presentation, Title: "PowerPoint show",
			ImportFilter: "Impress MS PowerPoint 2007 XML AutoPlay",
			MediaType:    openXML + "presentationml.slideshow", MainType: openXML + "presentationml.slideshow.main+xml",
		},
	}
}

func otherPresentations() []Format {
	return []Format{
		{
			ID: "potx", Family: Presentation, Title: "PowerPoint template",
			ImportFilter: "Impress MS PowerPoint 2007 XML Template",
			MediaType:    openXML + "presentationml.template", MainType: openXML + "presentationml.template.main+xml",
		},
		{
			ID: "pptm", Family: Presentation, Title: "PowerPoint presentation with macros",
			ImportFilter: "Impress MS PowerPoint 2007 XML VBA",
			MediaType:    powerPoint + "presentation.macroEnabled.12",
			MainType:     powerPoint + "presentation.macroEnabled.main+xml",
		},
		{
			ID: "ppsm", Family: Presentation, Title: "PowerPoint show with macros",
			ImportFilter: "Impress MS PowerPoint 2007 XML VBA",
			MediaType:    powerPoint + "slideshow.macroEnabled.12",
			MainType:     powerPoint + "slideshow.macroEnabled.main+xml",
		},
		{
			ID: "potm", Family: Presentation, Title: "PowerPoint template with macros",
			ImportFilter: "Impress MS PowerPoint 2007 XML Template",
			MediaType:    powerPoint + "template.macroEnabled.12",
			MainType:     powerPoint + "template.macroEnabled.main+xml",
		},
		{
			ID: "pot", Family: Presentation, Title: "PowerPoint 97-2003 template",
			ImportFilter: "MS PowerPoint 97 Vorlage",
			MediaType:    "application/vnd.ms-powerpoint",
		},
		{
			ID: "otp", Family: Presentation, Title: "OpenDocument presentation template",
			ImportFilter: "impress8_template",
			MediaType:    OpenDocument + "presentation-template",
		},
		{
			ID: "fodp", Family: Presentation, Title: "OpenDocument presentation in one XML file",
			ImportFilter: "OpenDocument Presentation Flat XML",
			MediaType:    OpenDocument + "presentation" + FlatSuffix,
		},
		{
			ID: "key", Family: Presentation, Title: "Apple Keynote presentation", ImportFilter: "Apple Keynote",
			MediaType: "application/vnd.apple.keynote",
		},
	}
}

func texts() []Format {
	return []Format{
		{
			ID: "docx", Family: Text, Title: "Word document", ImportFilter: "MS Word 2007 XML",
			MediaType: openXML + "wordprocessingml.document",
			MainType:  openXML + "wordprocessingml.document.main+xml",
		},
		{
			ID: "doc", Family: Text, Title: "Word 97-2003 document", ImportFilter: "MS Word 97",
			MediaType: "application/msword",
		},
		{
			ID: "odt", Family: Text, Title: "OpenDocument text", ImportFilter: "writer8",
			MediaType: OpenDocument + "text",
		},
		{
			ID: "fodt", Family: Text, Title: "OpenDocument text in one XML file",
			ImportFilter: "OpenDocument Text Flat XML",
			MediaType:    OpenDocument + "text" + FlatSuffix,
		},
		{
			ID: "rtf", Family: Text, Title: "Rich text", ImportFilter: "Rich Text Format",
			MediaType: "application/rtf",
		},
		{
			// The filter is forced because LibreOffice would open a text that looks like HTML as HTML, and follow its
			// links.
			ID: "txt", Family: Text, Title: "Plain text", ImportFilter: "Text (encoded)",
			MediaType: "text/plain", Import: Import{Filter: "Text (encoded)", Options: "UTF8"},
			aliases: aliases{"text", "log"},
		},
		{
			ID: "html", Family: Text, Title: "HTML page", ImportFilter: "HTML (StarWriter)",
			MediaType: "text/html", aliases: aliases{"htm", "xhtml"},
		},
		{
			ID: "docm", Family: Text, Title: "Word document with macros", ImportFilter: "MS Word 2007 XML VBA",
			MediaType: msWord + "document.macroEnabled.12", MainType: msWord + "document.macroEnabled.main+xml",
		},
		{
			ID: "dotx", Family: Text, Title: "Word template", ImportFilter: "MS Word 2007 XML Template",
			MediaType: openXML + "wordprocessingml.template",
			MainType:  openXML + "wordprocessingml.template.main+xml",
		},
		{
			ID: "dotm", Family: Text, Title: "Word template with macros", ImportFilter: "MS Word 2007 XML Template",
			MediaType: msWord + "template.macroEnabled.12",
			MainType:  msWord + "template.macroEnabledTemplate.main+xml",
		},
		{
			ID: "dot", Family: Text, Title: "Word 97-2003 template", ImportFilter: "MS Word 97 Vorlage",
			MediaType: "application/msword",
		},
		{
			ID: "ott", Family: Text, Title: "OpenDocument text template", ImportFilter: "writer8_template",
			MediaType: OpenDocument + "text-template",
		},
	}
}

// otherTexts returns rare formats and those of programs by neither Microsoft nor LibreOffice.
func otherTexts() []Format {
	return []Format{
		{
			// A master document keeps its parts in separate files, which are not read: nothing would be left of it.
			ID: "odm", Family: Text, Title: "OpenDocument master document", DetectOnly: true,
			MediaType: OpenDocument + "text-master",
		},
		{
			ID: "pages", Family: Text, Title: "Apple Pages document", ImportFilter: "Apple Pages",
			MediaType: "application/vnd.apple.pages",
		},
		{
			ID: "wpd", Family: Text, Title: "WordPerfect document", ImportFilter: "WordPerfect",
			MediaType: "application/vnd.wordperfect",
		},
		{
			ID: "wps", Family: Text, Title: "Microsoft Works document", ImportFilter: "MS_Works",
			MediaType: "application/vnd.ms-works",
		},
		{
			ID: "epub", Family: Text, Title: "EPUB book", DetectOnly: true,
			MediaType: "application/epub+zip",
		},
	}
}

func spreadsheets() []Format {
	return []Format{
		{
			ID: "xlsx", Family: Spreadsheet, Title: "Excel workbook", ImportFilter: "Calc MS Excel 2007 XML",
			MediaType: openXML + "spreadsheetml.sheet", MainType: openXML + "spreadsheetml.sheet.main+xml",
		},
		{
			ID: "xls", Family: Spreadsheet, Title: "Excel 97-2003 workbook", ImportFilter: "MS Excel 97",
			MediaType: "application/vnd.ms-excel",
		},
		{
			ID: "ods", Family: Spreadsheet, Title: "OpenDocument spreadsheet", ImportFilter: "calc8",
			MediaType: OpenDocument + "spreadsheet",
		},
		{
			ID: "csv", Family: Spreadsheet, Title: "Comma-separated values",
			ImportFilter: "Text - txt - csv (StarCalc)",
			MediaType:    "text/csv", Import: Import{Filter: "Text - txt - csv (StarCalc)", Options: "44,34,76,1"},
			aliases: aliases{"tsv", "tab"},
		},
		{
			ID: "xltx", Family: Spreadsheet, Title: "Excel template", ImportFilter: "Calc MS Excel 2007 XML Template",
			MediaType: openXML + "spreadsheetml.template", MainType: openXML + "spreadsheetml.template.main+xml",
		},
		{
			ID: "xlsb", Family: Spreadsheet, Title: "Excel binary workbook",
			ImportFilter: "Calc MS Excel 2007 Binary",
			MediaType:    msExcel + "sheet.binary.macroEnabled.12",
			MainType:     msExcel + "sheet.binary.macroEnabled.main",
		},
		{
			ID: "xlsm", Family: Spreadsheet, Title: "Excel workbook with macros",
			ImportFilter: "Calc MS Excel 2007 VBA XML",
			MediaType:    msExcel + "sheet.macroEnabled.12", MainType: msExcel + "sheet.macroEnabled.main+xml",
		},
		{
			ID: "xltm", Family: Spreadsheet, Title: "Excel template with macros",
			ImportFilter: "Calc MS Excel 2007 XML Template",
			MediaType:    msExcel + "template.macroEnabled.12", MainType: msExcel + "template.macroEnabled.main+xml",
		},
		{
			ID: "xlt", Family: Spreadsheet, Title: "Excel 97-2003 template",
			ImportFilter: "MS Excel 97 Vorlage/Template",
			MediaType:    "application/vnd.ms-excel",
		},
		{
			ID: "ots", Family: Spreadsheet, Title: "OpenDocument spreadsheet template",
			ImportFilter: "calc8_template",
			MediaType:    OpenDocument + "spreadsheet-template",
		},
		{
			ID: "fods", Family: Spreadsheet, Title: "OpenDocument spreadsheet in one XML file",
			ImportFilter: "OpenDocument Spreadsheet Flat XML",
			MediaType:    OpenDocument + "spreadsheet" + FlatSuffix,
		},
		{
			ID: "numbers", Family: Spreadsheet, Title: "Apple Numbers spreadsheet", ImportFilter: "Apple Numbers",
			MediaType: "application/vnd.apple.numbers",
		},
	}
}

func drawings() []Format {
	const visio = "application/vnd.ms-visio.drawing"
	return []Format{
		{
			ID: "odg", Family: Drawing, Title: "OpenDocument drawing", ImportFilter: "draw8",
			MediaType: OpenDocument + "graphics",
		},
		{
			ID: "otg", Family: Drawing, Title: "OpenDocument drawing template", ImportFilter: "draw8_template",
			MediaType: OpenDocument + "graphics-template",
		},
		{
			ID: "fodg", Family: Drawing, Title: "OpenDocument drawing in one XML file",
			ImportFilter: "OpenDocument Drawing Flat XML",
			MediaType:    OpenDocument + "graphics" + FlatSuffix,
		},
		{
			ID: "vsdx", Family: Drawing, Title: "Visio drawing", ImportFilter: visioFilter,
			MediaType: visio, MainType: visio + ".main+xml",
		},
		{
			ID: "vsdm", Family: Drawing, Title: "Visio drawing with macros", ImportFilter: visioFilter,
			MediaType: visio + ".macroEnabled.12", MainType: visio + ".macroEnabled.main+xml",
		},
		{
			ID: "vsd", Family: Drawing, Title: "Visio 2000-2010 drawing", ImportFilter: visioFilter,
			MediaType: "application/vnd.visio",
		},
		{
			ID: "vdx", Family: Drawing, Title: "Visio drawing in one XML file", ImportFilter: visioFilter,
			MediaType: "application/vnd.visio+xml",
		},
		{
			ID: "pub", Family: Drawing, Title: "Publisher document", ImportFilter: "Publisher Document",
			MediaType: "application/vnd.ms-publisher",
		},
	}
}

const visioFilter = "Visio Document"

// images returns the image formats, which LibreOffice opens as drawings of one page.
func images() []Format {
	return []Format{
		{
			ID: "png", Family: Drawing, Title: "PNG image", ImportFilter: "PNG - Portable Network Graphic",
			MediaType: "image/png",
		},
		{
			ID: "jpeg", Family: Drawing, Title: "JPEG image", ImportFilter: "JPG - JPEG",
			MediaType: "image/jpeg", aliases: aliases{"jpg", "jpe", "jfif"},
		},
		{
			ID: "tiff", Family: Drawing, Title: "TIFF image", ImportFilter: "TIF - Tag Image File",
			MediaType: "image/tiff", aliases: aliases{"tif"},
		},
		{
			ID: "gif", Family: Drawing, Title: "GIF image", ImportFilter: "GIF - Graphics Interchange",
			MediaType: "image/gif",
		},
		{
			ID: "bmp", Family: Drawing, Title: "Windows bitmap", ImportFilter: "BMP - MS Windows",
			MediaType: "image/bmp", aliases: aliases{"dib"},
		},
		{
			ID: "webp", Family: Drawing, Title: "WebP image", ImportFilter: "WEBP - WebP",
			MediaType: "image/webp",
		},
		{
			ID: "svg", Family: Drawing, Title: "SVG image", ImportFilter: "SVG - Scalable Vector Graphics Draw",
			MediaType: "image/svg+xml",
		},
		{
			ID: "emf", Family: Drawing, Title: "Windows enhanced metafile", ImportFilter: "EMF - MS Windows Metafile",
			MediaType: "image/emf",
		},
		{
			ID: "wmf", Family: Drawing, Title: "Windows metafile", ImportFilter: "WMF - MS Windows Metafile",
			MediaType: "image/wmf",
		},
	}
}
