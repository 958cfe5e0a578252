package document

import (
	"slices"
	"strings"
	"sync"
)

// Family is the group of formats that one application of LibreOffice opens. Documents of a family that are named for
// another format of the same family are accepted as what they are.
type Family string

// The families of formats.
const (
	Presentation Family = "presentation"
	Text         Family = "text"
	Spreadsheet  Family = "spreadsheet"
	Drawing      Family = "drawing"
)

// Import names the filter that LibreOffice must read a document with, where its own detection would guess.
type Import struct {
	// Filter is LibreOffice's internal name of the filter; empty where its own detection is right.
	Filter string
	// Options are the filter's options (FilterOptions), such as the character set of a text; may be empty.
	Options string
}

// Format is one kind of document.
type Format struct {
	// ID identifies the format in the API and in messages. It is the usual extension, without a dot, in lower case; a
	// converter gives the document this extension, whatever its owner called it.
	ID string
	// MediaType is the registered media type.
	MediaType string
	// Family is the group of formats that it belongs to.
	Family Family
	// Title is its English name for people.
	Title string
	// Import is how LibreOffice is told to read it. For texts it assumes UTF-8 and commas; a [Recognition] knows better.
	Import Import
	// Reader is LibreOffice's internal name of the filter that reads it. A LibreOffice without that filter, because a package
	// of the distribution is not installed, cannot convert the format.
	Reader string

	// aliases are further extensions, separated by spaces, that mean the same.
	aliases string
	// mainType is the content type of the main part of an Office Open XML package: what tells pptx, ppsx, potx and pptm
	// apart, which share everything else.
	mainType string
	// recognisedOnly marks what has a name but is not offered (yet): refused as unsupported rather than as unknown.
	recognisedOnly bool
}

// Formats lists what can be converted, in the order in which people look for it.
func Formats() []Format {
	return slices.DeleteFunc(slices.Clone(table()), func(f Format) bool { return f.recognisedOnly })
}

// FormatByID finds a convertible format by its identifier.
func FormatByID(id string) (Format, bool) {
	f, ok := formatByID(id)
	return f, ok && !f.recognisedOnly
}

// Extensions lists the extensions that documents of the format have, without dots, the usual one first.
func (f Format) Extensions() []string {
	return append([]string{f.ID}, strings.Fields(f.aliases)...)
}

// KnowsExtension tells whether documents of some format have the extension, without a dot, in lower case.
func KnowsExtension(extension string) bool {
	_, known := formatByExtension(extension)
	return known
}

func formatByID(id string) (Format, bool) {
	return find(func(f Format) bool { return f.ID == id })
}

func formatByExtension(extension string) (Format, bool) {
	return find(func(f Format) bool { return slices.Contains(f.Extensions(), extension) })
}

func formatByMediaType(mediaType string) (Format, bool) {
	return find(func(f Format) bool { return f.MediaType == mediaType })
}

func formatByMainType(mainType string) (Format, bool) {
	return find(func(f Format) bool { return f.mainType != "" && f.mainType == mainType })
}

func find(match func(Format) bool) (Format, bool) {
	formats := table()
	if i := slices.IndexFunc(formats, match); i >= 0 {
		return formats[i], true
	}
	return Format{}, false
}

// table is the one list of formats. A new one is a row here, and, if it is no package of Office Open XML or
// OpenDocument, a signature in content.go. LibreOffice writes EPUB books, but does not read them.
var table = sync.OnceValue(func() []Format {
	return slices.Concat(presentations(), texts(), otherTexts(), spreadsheets(), drawings(), images())
})

const (
	openXML    = "application/vnd.openxmlformats-officedocument."
	powerPoint = "application/vnd.ms-powerpoint."
	msWord     = "application/vnd.ms-word."
	msExcel    = "application/vnd.ms-excel."
	openDoc    = "application/vnd.oasis.opendocument."
)

func presentations() []Format {
	return []Format{
		{
			ID: "pptx", Family: Presentation, Title: "PowerPoint presentation", Reader: "Impress MS PowerPoint 2007 XML",
			MediaType: openXML + "presentationml.presentation", mainType: openXML + "presentationml.presentation.main+xml",
		},
		{
			ID: "ppt", Family: Presentation, Title: "PowerPoint 97-2003 presentation", Reader: "MS PowerPoint 97",
			MediaType: "application/vnd.ms-powerpoint",
		},
		{
			ID: "odp", Family: Presentation, Title: "OpenDocument presentation", Reader: "impress8",
			MediaType: openDoc + "presentation",
		},
		{
			// Nothing in the bytes tells a show or a template from a presentation: only the name does.
			ID: "pps", Family: Presentation, Title: "PowerPoint 97-2003 show", Reader: "MS PowerPoint 97 AutoPlay",
			MediaType: "application/vnd.ms-powerpoint",
		},
		{
			ID: "ppsx", Family: Presentation, Title: "PowerPoint show", Reader: "Impress MS PowerPoint 2007 XML AutoPlay",
			MediaType: openXML + "presentationml.slideshow", mainType: openXML + "presentationml.slideshow.main+xml",
		},
		{
			ID: "potx", Family: Presentation, Title: "PowerPoint template", Reader: "Impress MS PowerPoint 2007 XML Template",
			MediaType: openXML + "presentationml.template", mainType: openXML + "presentationml.template.main+xml",
		},
		{
			ID: "pptm", Family: Presentation, Title: "PowerPoint presentation with macros", Reader: "Impress MS PowerPoint 2007 XML VBA",
			MediaType: powerPoint + "presentation.macroEnabled.12", mainType: powerPoint + "presentation.macroEnabled.main+xml",
		},
		{
			ID: "ppsm", Family: Presentation, Title: "PowerPoint show with macros", Reader: "Impress MS PowerPoint 2007 XML VBA",
			MediaType: powerPoint + "slideshow.macroEnabled.12", mainType: powerPoint + "slideshow.macroEnabled.main+xml",
		},
		{
			ID: "potm", Family: Presentation, Title: "PowerPoint template with macros", Reader: "Impress MS PowerPoint 2007 XML Template",
			MediaType: powerPoint + "template.macroEnabled.12", mainType: powerPoint + "template.macroEnabled.main+xml",
		},
		{
			ID: "pot", Family: Presentation, Title: "PowerPoint 97-2003 template", Reader: "MS PowerPoint 97 Vorlage",
			MediaType: "application/vnd.ms-powerpoint",
		},
		{
			ID: "otp", Family: Presentation, Title: "OpenDocument presentation template", Reader: "impress8_template",
			MediaType: openDoc + "presentation-template",
		},
		{
			ID: "fodp", Family: Presentation, Title: "OpenDocument presentation in one XML file", Reader: "OpenDocument Presentation Flat XML",
			MediaType: openDoc + "presentation" + flatSuffix,
		},
		{
			ID: "key", Family: Presentation, Title: "Apple Keynote presentation", Reader: "Apple Keynote",
			MediaType: "application/vnd.apple.keynote",
		},
	}
}

func texts() []Format {
	return []Format{
		{
			ID: "docx", Family: Text, Title: "Word document", Reader: "MS Word 2007 XML",
			MediaType: openXML + "wordprocessingml.document", mainType: openXML + "wordprocessingml.document.main+xml",
		},
		{
			ID: "doc", Family: Text, Title: "Word 97-2003 document", Reader: "MS Word 97",
			MediaType: "application/msword",
		},
		{
			ID: "odt", Family: Text, Title: "OpenDocument text", Reader: "writer8",
			MediaType: openDoc + "text",
		},
		{
			ID: "fodt", Family: Text, Title: "OpenDocument text in one XML file", Reader: "OpenDocument Text Flat XML",
			MediaType: openDoc + "text" + flatSuffix,
		},
		{
			ID: "rtf", Family: Text, Title: "Rich text", Reader: "Rich Text Format",
			MediaType: "application/rtf",
		},
		{
			// Forced, because LibreOffice would open a text that looks like HTML as HTML, and follow its links.
			ID: "txt", Family: Text, Title: "Plain text", Reader: "Text (encoded)",
			MediaType: "text/plain", Import: textImport(utf8Text), aliases: "text log",
		},
		{
			ID: "html", Family: Text, Title: "HTML page", Reader: "HTML (StarWriter)",
			MediaType: "text/html", aliases: "htm xhtml",
		},
		{
			ID: "docm", Family: Text, Title: "Word document with macros", Reader: "MS Word 2007 XML VBA",
			MediaType: msWord + "document.macroEnabled.12", mainType: msWord + "document.macroEnabled.main+xml",
		},
		{
			ID: "dotx", Family: Text, Title: "Word template", Reader: "MS Word 2007 XML Template",
			MediaType: openXML + "wordprocessingml.template", mainType: openXML + "wordprocessingml.template.main+xml",
		},
		{
			ID: "dotm", Family: Text, Title: "Word template with macros", Reader: "MS Word 2007 XML Template",
			MediaType: msWord + "template.macroEnabled.12", mainType: msWord + "template.macroEnabledTemplate.main+xml",
		},
		{
			ID: "dot", Family: Text, Title: "Word 97-2003 template", Reader: "MS Word 97 Vorlage",
			MediaType: "application/msword",
		},
		{
			ID: "ott", Family: Text, Title: "OpenDocument text template", Reader: "writer8_template",
			MediaType: openDoc + "text-template",
		},
	}
}

// otherTexts are those of programs that are neither Microsoft's nor LibreOffice's, and those that few people send.
func otherTexts() []Format {
	return []Format{
		{
			// The parts of a master document are files of their own, which nobody reads: nothing would be left of it.
			ID: "odm", Family: Text, Title: "OpenDocument master document", recognisedOnly: true,
			MediaType: openDoc + "text-master",
		},
		{
			ID: "pages", Family: Text, Title: "Apple Pages document", Reader: "Apple Pages",
			MediaType: "application/vnd.apple.pages",
		},
		{
			ID: "wpd", Family: Text, Title: "WordPerfect document", Reader: "WordPerfect",
			MediaType: "application/vnd.wordperfect",
		},
		{
			ID: "wps", Family: Text, Title: "Microsoft Works document", Reader: "MS_Works",
			MediaType: "application/vnd.ms-works",
		},
		{
			ID: "epub", Family: Text, Title: "EPUB book", recognisedOnly: true,
			MediaType: "application/epub+zip",
		},
	}
}

func spreadsheets() []Format {
	return []Format{
		{
			ID: "xlsx", Family: Spreadsheet, Title: "Excel workbook", Reader: "Calc MS Excel 2007 XML",
			MediaType: openXML + "spreadsheetml.sheet", mainType: openXML + "spreadsheetml.sheet.main+xml",
		},
		{
			ID: "xls", Family: Spreadsheet, Title: "Excel 97-2003 workbook", Reader: "MS Excel 97",
			MediaType: "application/vnd.ms-excel",
		},
		{
			ID: "ods", Family: Spreadsheet, Title: "OpenDocument spreadsheet", Reader: "calc8",
			MediaType: openDoc + "spreadsheet",
		},
		{
			ID: "csv", Family: Spreadsheet, Title: "Comma-separated values", Reader: "Text - txt - csv (StarCalc)",
			MediaType: "text/csv", Import: csvImport(utf8Text, ','), aliases: "tsv tab",
		},
		{
			ID: "xltx", Family: Spreadsheet, Title: "Excel template", Reader: "Calc MS Excel 2007 XML Template",
			MediaType: openXML + "spreadsheetml.template", mainType: openXML + "spreadsheetml.template.main+xml",
		},
		{
			ID: "xlsb", Family: Spreadsheet, Title: "Excel binary workbook", Reader: "Calc MS Excel 2007 Binary",
			MediaType: msExcel + "sheet.binary.macroEnabled.12", mainType: msExcel + "sheet.binary.macroEnabled.main",
		},
		{
			ID: "xlsm", Family: Spreadsheet, Title: "Excel workbook with macros", Reader: "Calc MS Excel 2007 VBA XML",
			MediaType: msExcel + "sheet.macroEnabled.12", mainType: msExcel + "sheet.macroEnabled.main+xml",
		},
		{
			ID: "xltm", Family: Spreadsheet, Title: "Excel template with macros", Reader: "Calc MS Excel 2007 XML Template",
			MediaType: msExcel + "template.macroEnabled.12", mainType: msExcel + "template.macroEnabled.main+xml",
		},
		{
			ID: "xlt", Family: Spreadsheet, Title: "Excel 97-2003 template", Reader: "MS Excel 97 Vorlage/Template",
			MediaType: "application/vnd.ms-excel",
		},
		{
			ID: "ots", Family: Spreadsheet, Title: "OpenDocument spreadsheet template", Reader: "calc8_template",
			MediaType: openDoc + "spreadsheet-template",
		},
		{
			ID: "fods", Family: Spreadsheet, Title: "OpenDocument spreadsheet in one XML file", Reader: "OpenDocument Spreadsheet Flat XML",
			MediaType: openDoc + "spreadsheet" + flatSuffix,
		},
		{
			ID: "numbers", Family: Spreadsheet, Title: "Apple Numbers spreadsheet", Reader: "Apple Numbers",
			MediaType: "application/vnd.apple.numbers",
		},
	}
}

func drawings() []Format {
	const visio = "application/vnd.ms-visio.drawing"
	return []Format{
		{
			ID: "odg", Family: Drawing, Title: "OpenDocument drawing", Reader: "draw8",
			MediaType: openDoc + "graphics",
		},
		{
			ID: "otg", Family: Drawing, Title: "OpenDocument drawing template", Reader: "draw8_template",
			MediaType: openDoc + "graphics-template",
		},
		{
			ID: "fodg", Family: Drawing, Title: "OpenDocument drawing in one XML file", Reader: "OpenDocument Drawing Flat XML",
			MediaType: openDoc + "graphics" + flatSuffix,
		},
		{
			ID: "vsdx", Family: Drawing, Title: "Visio drawing", Reader: visioReader,
			MediaType: visio, mainType: visio + ".main+xml",
		},
		{
			ID: "vsdm", Family: Drawing, Title: "Visio drawing with macros", Reader: visioReader,
			MediaType: visio + ".macroEnabled.12", mainType: visio + ".macroEnabled.main+xml",
		},
		{
			ID: "vsd", Family: Drawing, Title: "Visio 2000-2010 drawing", Reader: visioReader,
			MediaType: "application/vnd.visio",
		},
		{
			ID: "vdx", Family: Drawing, Title: "Visio drawing in one XML file", Reader: visioReader,
			MediaType: "application/vnd.visio+xml",
		},
		{
			ID: "pub", Family: Drawing, Title: "Publisher document", Reader: "Publisher Document",
			MediaType: "application/vnd.ms-publisher",
		},
	}
}

const visioReader = "Visio Document"

// images are opened as drawings of one page.
func images() []Format {
	return []Format{
		{
			ID: "png", Family: Drawing, Title: "PNG picture", Reader: "PNG - Portable Network Graphic",
			MediaType: "image/png",
		},
		{
			ID: "jpeg", Family: Drawing, Title: "JPEG picture", Reader: "JPG - JPEG",
			MediaType: "image/jpeg", aliases: "jpg jpe jfif",
		},
		{
			ID: "tiff", Family: Drawing, Title: "TIFF picture", Reader: "TIF - Tag Image File",
			MediaType: "image/tiff", aliases: "tif",
		},
		{
			ID: "gif", Family: Drawing, Title: "GIF picture", Reader: "GIF - Graphics Interchange",
			MediaType: "image/gif",
		},
		{
			ID: "bmp", Family: Drawing, Title: "Windows bitmap", Reader: "BMP - MS Windows",
			MediaType: "image/bmp", aliases: "dib",
		},
		{
			ID: "webp", Family: Drawing, Title: "WebP picture", Reader: "WEBP - WebP",
			MediaType: "image/webp",
		},
		{
			ID: "svg", Family: Drawing, Title: "SVG picture", Reader: "SVG - Scalable Vector Graphics Draw",
			MediaType: "image/svg+xml",
		},
		{
			ID: "emf", Family: Drawing, Title: "Windows enhanced metafile", Reader: "EMF - MS Windows Metafile",
			MediaType: "image/emf",
		},
		{
			ID: "wmf", Family: Drawing, Title: "Windows metafile", Reader: "WMF - MS Windows Metafile",
			MediaType: "image/wmf",
		},
	}
}
