package format

import (
	"iter"
	"slices"
	"strings"
)

// Kind is how the result of a target is made.
type Kind int

// The kinds of targets.
const (
	// Written results are files that LibreOffice writes.
	Written Kind = iota
	// Images are made of each page of the PDF that LibreOffice writes. Several come as one [Archive].
	Images
	// Thumbnail is an image of the first page only.
	Thumbnail
)

// Target is what a document is converted into.
type Target struct {
	// ID identifies the target in the API and in messages. For Written targets it is also LibreOfficeKit's name of
	// the format.
	ID string
	// Extension is the extension of one result, without a dot.
	Extension string
	// MediaType is the media type of one result.
	MediaType string
	// Title is its English name for people.
	Title string
	// Kind is how the result is made.
	Kind Kind
	// ExportOptions are the options of the LibreOffice filter that writes the result, such as the character set of a
	// text. They may be empty. The options of PDF depend on the client's choices and are not listed here.
	ExportOptions string
}

// Archive returns the format that the images of several pages are delivered in: it supplies the extension and media
// type of such a result.
func Archive() Target { return archive }

// ResultExtension returns the extension, without a dot, of a result with a media type: a target may be delivered as
// one image or as an archive of them. It returns false for a media type that no target has.
func ResultExtension(mediaType string) (string, bool) {
	base, _, _ := strings.Cut(mediaType, ";")
	extension, known := resultExtensions[strings.ToLower(strings.TrimSpace(base))]
	return extension, known
}

// Targets returns what the format can be converted into. Every format of [All] has at least one target.
func (f Format) Targets() iter.Seq[Target] { return slices.Values(f.targets()) }

// AllTargets returns the targets of all formats, each once.
func AllTargets() iter.Seq[Target] { return slices.Values(allTargets) }

// Target returns the format's target with an identifier.
func (f Format) Target(id string) (Target, bool) {
	targets := f.targets()
	if i := slices.IndexFunc(targets, func(t Target) bool { return t.ID == id }); i >= 0 {
		return targets[i], true
	}
	return Target{}, false
}

func (f Format) targets() []Target {
	if f.DetectOnly {
		return nil
	}
	return targetTable[f.Family]
}

var (
	archive = Target{
		ID: "zip", Extension: "zip", MediaType: "application/zip", Title: "Zip archive", Kind: Images,
	}

	// targetTable lists the targets of each family.
	targetTable = map[Family][]Target{
		Presentation: append(writtenPresentations(), pageImages()...),
		Text:         append(writtenTexts(), pageImages()...),
		Spreadsheet:  append(writtenSpreadsheets(), pageImages()...),
		Drawing:      append(writtenDrawings(), pageImages()...),
	}

	// allTargets lists the targets of all formats, in the order of the formats.
	allTargets = distinctTargets()

	// resultExtensions has the extensions of all results by their media types without parameters.
	resultExtensions = extensionsByMediaType()
)

func distinctTargets() []Target {
	var all []Target
	for f := range All() {
		for t := range f.Targets() {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

func extensionsByMediaType() map[string]string {
	extensions := map[string]string{archive.MediaType: archive.Extension}
	for _, t := range allTargets {
		base, _, _ := strings.Cut(t.MediaType, ";")
		extensions[base] = t.Extension
	}
	return extensions
}

// written returns a target that is also a format of documents.
func written(id string) Target {
	f, _ := AnyByID(id)
	return Target{ID: id, Extension: id, MediaType: f.MediaType, Title: f.Title}
}

func pdf() Target {
	return Target{ID: TargetPDF, Extension: "pdf", MediaType: "application/pdf", Title: "PDF"}
}

// textual returns a target in UTF-8, which the media type of the result states.
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
		// Images become part of the page; without the option they would be separate files.
		textual("html", "text/html", "HTML page", "EmbedImages"),
	}
}

func writtenSpreadsheets() []Target {
	return []Target{
		pdf(), written("xlsx"), written("ods"),
		// Commas, quotes where they are needed, UTF-8; values as they are displayed. LibreOfficeKit inserts a space
		// after each comma of the options, which the later tokens do not tolerate.
		textual("csv", "text/csv", "Comma-separated values of the first sheet", "44,34,76"),
	}
}

func writtenDrawings() []Target {
	return []Target{pdf(), written("odg")}
}

func pageImages() []Target {
	return []Target{
		{ID: TargetPNG, Extension: "png", MediaType: "image/png", Title: "PNG image of each page", Kind: Images},
		{ID: TargetJPEG, Extension: "jpg", MediaType: "image/jpeg", Title: "JPEG image of each page", Kind: Images},
		{ID: TargetWebP, Extension: "webp", MediaType: "image/webp", Title: "WebP image of each page", Kind: Images},
		{ID: TargetSVG, Extension: "svg", MediaType: "image/svg+xml", Title: "SVG image of each page", Kind: Images},
		{ID: TargetThumbnail, Extension: "png", MediaType: "image/png", Title: "PNG image of the first page", Kind: Thumbnail},
	}
}
