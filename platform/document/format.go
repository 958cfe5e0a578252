package document

import "slices"

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

	// mainType is the content type of the main part of an Office Open XML package: what tells pptx, ppsx, potx and pptm
	// apart, which share everything else.
	mainType string
	// recognisedOnly marks what has a name but is not offered (yet): refused as unsupported rather than as unknown.
	recognisedOnly bool
}

// Formats lists what can be converted, in the order in which people look for it.
func Formats() []Format {
	return slices.DeleteFunc(table(), func(f Format) bool { return f.recognisedOnly })
}

// FormatByID finds a convertible format by its identifier.
func FormatByID(id string) (Format, bool) {
	f, ok := formatByID(id)
	return f, ok && !f.recognisedOnly
}

func formatByID(id string) (Format, bool) {
	return find(func(f Format) bool { return f.ID == id })
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
// OpenDocument, a signature in recognise.go.
func table() []Format {
	return slices.Concat(presentations(), texts(), spreadsheets(), drawings())
}

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
			ID: "pptx", Family: Presentation, Title: "PowerPoint presentation",
			MediaType: openXML + "presentationml.presentation", mainType: openXML + "presentationml.presentation.main+xml",
		},
		{
			ID: "ppt", Family: Presentation, Title: "PowerPoint 97-2003 presentation",
			MediaType: "application/vnd.ms-powerpoint",
		},
		{
			ID: "odp", Family: Presentation, Title: "OpenDocument presentation",
			MediaType: openDoc + "presentation",
		},
		{
			// Nothing in the bytes tells a show from a presentation: only the name does.
			ID: "pps", Family: Presentation, Title: "PowerPoint 97-2003 show",
			MediaType: "application/vnd.ms-powerpoint",
		},
		{
			ID: "ppsx", Family: Presentation, Title: "PowerPoint show",
			MediaType: openXML + "presentationml.slideshow", mainType: openXML + "presentationml.slideshow.main+xml",
		},
		{
			ID: "potx", Family: Presentation, Title: "PowerPoint template",
			MediaType: openXML + "presentationml.template", mainType: openXML + "presentationml.template.main+xml",
		},
		{
			ID: "pptm", Family: Presentation, Title: "PowerPoint presentation with macros",
			MediaType: powerPoint + "presentation.macroEnabled.12", mainType: powerPoint + "presentation.macroEnabled.main+xml",
		},
		{
			ID: "ppsm", Family: Presentation, Title: "PowerPoint show with macros", recognisedOnly: true,
			MediaType: powerPoint + "slideshow.macroEnabled.12", mainType: powerPoint + "slideshow.macroEnabled.main+xml",
		},
		{
			ID: "potm", Family: Presentation, Title: "PowerPoint template with macros", recognisedOnly: true,
			MediaType: powerPoint + "template.macroEnabled.12", mainType: powerPoint + "template.macroEnabled.main+xml",
		},
		{
			ID: "otp", Family: Presentation, Title: "OpenDocument presentation template", recognisedOnly: true,
			MediaType: openDoc + "presentation-template",
		},
		{
			ID: "fodp", Family: Presentation, Title: "OpenDocument presentation in one XML file", recognisedOnly: true,
			MediaType: openDoc + "presentation" + flatSuffix,
		},
	}
}

func texts() []Format {
	return []Format{
		{
			ID: "docx", Family: Text, Title: "Word document",
			MediaType: openXML + "wordprocessingml.document", mainType: openXML + "wordprocessingml.document.main+xml",
		},
		{
			ID: "doc", Family: Text, Title: "Word 97-2003 document",
			MediaType: "application/msword",
		},
		{
			ID: "odt", Family: Text, Title: "OpenDocument text",
			MediaType: openDoc + "text",
		},
		{
			ID: "fodt", Family: Text, Title: "OpenDocument text in one XML file",
			MediaType: openDoc + "text" + flatSuffix,
		},
		{
			ID: "rtf", Family: Text, Title: "Rich text",
			MediaType: "application/rtf",
		},
		{
			// Forced, because LibreOffice would open a text that looks like HTML as HTML, and follow its links.
			ID: "txt", Family: Text, Title: "Plain text",
			MediaType: "text/plain", Import: textImport(utf8Text),
		},
		{
			ID: "docm", Family: Text, Title: "Word document with macros", recognisedOnly: true,
			MediaType: msWord + "document.macroEnabled.12", mainType: msWord + "document.macroEnabled.main+xml",
		},
		{
			ID: "dotx", Family: Text, Title: "Word template", recognisedOnly: true,
			MediaType: openXML + "wordprocessingml.template", mainType: openXML + "wordprocessingml.template.main+xml",
		},
		{
			ID: "dotm", Family: Text, Title: "Word template with macros", recognisedOnly: true,
			MediaType: msWord + "template.macroEnabled.12", mainType: msWord + "template.macroEnabledTemplate.main+xml",
		},
		{
			ID: "ott", Family: Text, Title: "OpenDocument text template", recognisedOnly: true,
			MediaType: openDoc + "text-template",
		},
	}
}

func spreadsheets() []Format {
	return []Format{
		{
			ID: "xlsx", Family: Spreadsheet, Title: "Excel workbook",
			MediaType: openXML + "spreadsheetml.sheet", mainType: openXML + "spreadsheetml.sheet.main+xml",
		},
		{
			ID: "xls", Family: Spreadsheet, Title: "Excel 97-2003 workbook",
			MediaType: "application/vnd.ms-excel",
		},
		{
			ID: "ods", Family: Spreadsheet, Title: "OpenDocument spreadsheet",
			MediaType: openDoc + "spreadsheet",
		},
		{
			ID: "csv", Family: Spreadsheet, Title: "Comma-separated values",
			MediaType: "text/csv", Import: csvImport(utf8Text, ','),
		},
		{
			ID: "xltx", Family: Spreadsheet, Title: "Excel template",
			MediaType: openXML + "spreadsheetml.template", mainType: openXML + "spreadsheetml.template.main+xml",
		},
		{
			ID: "xlsb", Family: Spreadsheet, Title: "Excel binary workbook",
			MediaType: msExcel + "sheet.binary.macroEnabled.12", mainType: msExcel + "sheet.binary.macroEnabled.main",
		},
		{
			ID: "xlsm", Family: Spreadsheet, Title: "Excel workbook with macros", recognisedOnly: true,
			MediaType: msExcel + "sheet.macroEnabled.12", mainType: msExcel + "sheet.macroEnabled.main+xml",
		},
		{
			ID: "xltm", Family: Spreadsheet, Title: "Excel template with macros", recognisedOnly: true,
			MediaType: msExcel + "template.macroEnabled.12", mainType: msExcel + "template.macroEnabled.main+xml",
		},
		{
			ID: "ots", Family: Spreadsheet, Title: "OpenDocument spreadsheet template", recognisedOnly: true,
			MediaType: openDoc + "spreadsheet-template",
		},
		{
			ID: "fods", Family: Spreadsheet, Title: "OpenDocument spreadsheet in one XML file", recognisedOnly: true,
			MediaType: openDoc + "spreadsheet" + flatSuffix,
		},
	}
}

func drawings() []Format {
	return []Format{
		{
			ID: "odg", Family: Drawing, Title: "OpenDocument drawing", recognisedOnly: true,
			MediaType: openDoc + "graphics",
		},
		{
			ID: "fodg", Family: Drawing, Title: "OpenDocument drawing in one XML file", recognisedOnly: true,
			MediaType: openDoc + "graphics" + flatSuffix,
		},
		{
			ID: "vsdx", Family: Drawing, Title: "Visio drawing", recognisedOnly: true,
			MediaType: "application/vnd.ms-visio.drawing", mainType: "application/vnd.ms-visio.drawing.main+xml",
		},
	}
}
