package document

import (
	"mime"
	"slices"
	"sync"
)

// Kind says how a target's result comes about.
type Kind int

// The kinds of targets.
const (
	// Written is a file that LibreOffice writes.
	Written Kind = iota
	// Pictures is a picture of each page of the PDF that LibreOffice writes. Several come as one [Archive].
	Pictures
	// Thumbnail is a picture of the first page alone.
	Thumbnail
)

// Target is what documents are converted into.
type Target struct {
	// ID identifies the target in the API and in messages. For what LibreOffice writes it is also how LibreOfficeKit calls
	// the format.
	ID string
	// Extension is that of one result, without a dot.
	Extension string
	// MediaType is the media type of one result.
	MediaType string
	// Title is its English name for people.
	Title string
	// Kind says how the result comes about.
	Kind Kind
	// ExportOptions are those of LibreOffice's filter that writes it, such as the character set of a text; may be empty. Those
	// of PDF depend on what the client chose and do not stand here.
	ExportOptions string
}

// Archive is what the pictures of several pages come in: its extension and media type are the result's then.
func Archive() Target {
	return Target{ID: "zip", Extension: "zip", MediaType: "application/zip", Title: "Zip archive", Kind: Pictures}
}

// ResultExtension gives the extension of a result by its media type, without a dot: a target may come as a picture or as an
// archive of them. It gives false for a media type that no target has.
func ResultExtension(mediaType string) (string, bool) {
	base, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return "", false
	}
	all := append(pictures(), Archive())
	for _, family := range []Family{Presentation, Text, Spreadsheet, Drawing} {
		all = append(all, Format{Family: family}.Targets()...)
	}
	i := slices.IndexFunc(all, func(t Target) bool {
		own, _, err := mime.ParseMediaType(t.MediaType)
		return err == nil && own == base
	})
	if i < 0 {
		return "", false
	}
	return all[i].Extension, true
}

// Targets lists what the format can be converted into. It is never empty for a format of [Formats].
func (f Format) Targets() []Target { return slices.Clone(f.targets()) }

// Target finds one of the format's targets by its identifier.
func (f Format) Target(id string) (Target, bool) {
	targets := f.targets()
	if i := slices.IndexFunc(targets, func(t Target) bool { return t.ID == id }); i >= 0 {
		return targets[i], true
	}
	return Target{}, false
}

func (f Format) targets() []Target {
	if f.recognisedOnly {
		return nil
	}
	return targetTable()[f.Family]
}

// targetTable has the targets of each family. Like the table of formats it is made once, and nobody changes it: each upload asks it
// some hundred times, and made anew each time that took longer than all the rest.
var targetTable = sync.OnceValue(func() map[Family][]Target {
	return map[Family][]Target{
		Presentation: append(writtenPresentations(), pictures()...),
		Text:         append(writtenTexts(), pictures()...),
		Spreadsheet:  append(writtenSpreadsheets(), pictures()...),
		Drawing:      append(writtenDrawings(), pictures()...),
	}
})

// written is a target that is a format of documents, too.
func written(id string) Target {
	f, _ := formatByID(id)
	return Target{ID: id, Extension: id, MediaType: f.MediaType, Title: f.Title}
}

func pdf() Target {
	return Target{ID: TargetPDF, Extension: "pdf", MediaType: "application/pdf", Title: "PDF"}
}

// textual is a target in UTF-8, which the result's media type says.
func textual(id, mediaType, title, options string) Target {
	return Target{ID: id, Extension: id, MediaType: mediaType + "; charset=utf-8", Title: title, ExportOptions: options}
}

func writtenPresentations() []Target {
	return []Target{pdf(), written("pptx"), written("ppt"), written("odp")}
}

func writtenTexts() []Target {
	return []Target{
		pdf(), written("docx"), written("doc"), written("odt"), written("rtf"),
		textual("txt", "text/plain", "Plain text", "UTF8"),
		// Pictures become part of the page; otherwise they would be files beside it.
		textual("html", "text/html", "HTML page", "EmbedImages"),
	}
}

func writtenSpreadsheets() []Target {
	return []Target{
		pdf(), written("xlsx"), written("ods"),
		// Commas, quotes where they are needed, UTF-8; values as they are shown. LibreOfficeKit puts a blank after each comma of
		// options, which the later ones do not bear.
		textual("csv", "text/csv", "Comma-separated values of the first sheet", "44,34,76"),
	}
}

func writtenDrawings() []Target {
	return []Target{pdf(), written("odg")}
}

func pictures() []Target {
	return []Target{
		{ID: TargetPNG, Extension: "png", MediaType: "image/png", Title: "PNG picture of each page", Kind: Pictures},
		{ID: TargetJPEG, Extension: "jpg", MediaType: "image/jpeg", Title: "JPEG picture of each page", Kind: Pictures},
		{ID: TargetWebP, Extension: "webp", MediaType: "image/webp", Title: "WebP picture of each page", Kind: Pictures},
		{ID: TargetSVG, Extension: "svg", MediaType: "image/svg+xml", Title: "SVG picture of each page", Kind: Pictures},
		{ID: TargetThumbnail, Extension: "png", MediaType: "image/png", Title: "PNG picture of the first page", Kind: Thumbnail},
	}
}
