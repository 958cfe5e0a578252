package preflight

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
)

const (
	// maxDirectory bounds the list of a package's parts, and so the memory that it takes: 50,000 parts.
	maxDirectory = 4 << 20
	// maxParts bounds how many parts are opened. A deck of 1000 slides has 5000.
	maxParts = 20_000
)

// archive looks into a package of Office Open XML or OpenDocument.
func (f *finder) archive(r io.ReaderAt, size int64) {
	bounded := &directory{ReaderAt: r, left: maxDirectory}
	z, err := zip.NewReader(bounded, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // nothing is written to disk under the names of entries
		return
	}
	bounded.left = size + maxDirectory // each part is read once; what overlaps with others is a bomb's
	var parts []part
	openXML := false
	for _, file := range z.File[:min(len(z.File), maxParts)] {
		p := newPart(file)
		openXML = openXML || p.key == "[content_types].xml"
		parts = append(parts, p)
	}
	if openXML {
		f.openXML(parts)
	} else {
		f.openDocument(parts)
	}
}

// directory ends the reading of a list of parts that is too long.
type directory struct {
	io.ReaderAt

	left int64
}

var errTooLong = errors.New("too much to read")

func (d *directory) ReadAt(p []byte, off int64) (int, error) {
	if d.left -= int64(len(p)); d.left < 0 {
		return 0, errTooLong
	}
	return d.ReaderAt.ReadAt(p, off)
}

// openXML looks first at what is small and says most: relations, themes, styles.
func (f *finder) openXML(parts []part) {
	for _, p := range parts {
		switch {
		case strings.HasSuffix(p.key, "vbaproject.bin"), strings.Contains(p.key, "/macrosheets/"):
			f.macros = true
		case strings.HasSuffix(p.key, ".rels"):
			f.scanPart(p, f.relation)
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return importance(a.key) - importance(b.key) })
	for _, p := range parts {
		if path.Ext(p.key) == ".xml" && !fontless(p.key) {
			f.scanPart(p, f.openXMLFont(p.key))
		}
	}
}

// relation takes what lies outside of the package and is no hyperlink.
func (f *finder) relation(e tag) {
	if string(e.name()) == "Relationship" && strings.EqualFold(e.get("TargetMode"), "External") &&
		!strings.HasSuffix(e.get("Type"), "/hyperlink") {
		f.link(e.get("Target"))
	}
}

// importance orders parts for the case that not all can be read.
func importance(key string) int {
	folder, name := path.Split(key)
	switch {
	case strings.HasSuffix(folder, "/theme/"), strings.HasSuffix(folder, "/slidemasters/"), name == "styles.xml",
		name == "fonttable.xml", name == "presentation.xml":
		return 0
	case strings.HasSuffix(folder, "/slidelayouts/"):
		return 1
	default:
		return 2
	}
}

// fontless tells parts that name no fonts, or none that is seen: they may be large.
func fontless(key string) bool {
	for _, folder := range []string{"docprops/", "customxml/", "xl/worksheets/", "xl/pivot", "xl/tables/", "xl/externallinks/", "ppt/tags/"} {
		if strings.HasPrefix(key, folder) {
			return true
		}
	}
	return path.Base(key) == "[content_types].xml" || path.Base(key) == "calcchain.xml"
}

// openXMLFont looks for the places where fonts are named: DrawingML in slides, themes and charts, runs and styles of
// WordprocessingML, styles and rich strings of SpreadsheetML.
func (f *finder) openXMLFont(key string) func(tag) {
	typeface := func(e tag, of script) {
		e.attributes(func(name, value []byte) {
			if string(name) == "typeface" && !bytes.HasPrefix(value, []byte("+")) { // "+mn-lt" is the theme's, which stands there
				f.fontIn(value, of)
			}
		})
	}
	styles := key == "xl/styles.xml"
	presentation := key == "ppt/presentation.xml"
	runs := western
	if key == "word/numbering.xml" { // all bullets that Word offers, in use or not
		runs = other
	}
	listed := ""
	return func(e tag) {
		switch string(e.name()) {
		case "latin", "sym":
			typeface(e, western)
		case "ea", "cs", "buFont":
			typeface(e, other)
		case "rFonts":
			e.attributes(func(name, value []byte) {
				switch string(name) {
				case "ascii", "hAnsi":
					f.fontIn(value, runs)
				case "cs", "eastAsia":
					f.fontIn(value, other)
				}
			})
		case "rFont":
			f.font(e.get("val"), western)
		case "name":
			if styles {
				f.font(e.get("val"), western)
			}
		case "font":
			listed = e.get("name")
			if presentation { // only its list of embedded fonts has such
				f.embedded(e.get("typeface"))
			}
		case "embedRegular", "embedBold", "embedItalic", "embedBoldItalic":
			if listed != "" {
				f.embedded(listed)
			}
		}
	}
}

// embedded takes the name of a font that the document brings along. One that nothing names is named for no script that matters.
func (f *finder) embedded(name string) {
	f.font(name, other).Embedded = true
}
