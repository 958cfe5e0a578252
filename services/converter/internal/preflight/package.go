package preflight

import (
	"archive/zip"
	"bytes"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/docmill/docmill/contract/officefile"
)

// maxParts bounds the number of parts that are opened. A deck of 1000 slides has 5000.
const maxParts = 20_000

// part is an entry of a package.
type part struct {
	*zip.File

	// key is its officefile.PartKey.
	key string
}

// archive scans a package of Office Open XML or OpenDocument.
func (f *finder) archive(r io.ReaderAt, size int64) {
	p, err := officefile.OpenPackage(r, size, f.budget)
	if err != nil {
		return
	}
	var parts []part
	openXML := false
	for _, file := range p.File[:min(len(p.File), maxParts)] {
		key := officefile.PartKey(file.Name)
		openXML = openXML || key == "[content_types].xml"
		parts = append(parts, part{file, key})
	}
	scan := func(entry part, visit func(officefile.Tag)) {
		how := f.scan
		if openXML && isShown(entry.key) || !openXML && path.Base(entry.key) == "content.xml" {
			how = f.scanShown
		}
		f.scanPart(p, entry, func(r io.Reader) { how(r, visit) })
	}
	if openXML {
		f.openXML(parts, scan)
	} else {
		f.openDocument(parts, scan)
	}
}

// scanner scans a part of the package.
type scanner func(part, func(officefile.Tag))

func (f *finder) scanPart(p *officefile.Package, entry part, scan func(io.Reader)) {
	if f.left <= 0 || f.budget.Err() != nil {
		return
	}
	r, err := p.Open(entry.File, maxPart)
	if err != nil {
		return
	}
	defer r.Close()
	scan(r)
}

// openXML scans what is small and says most first: relationships, themes, styles.
func (f *finder) openXML(parts []part, scan scanner) {
	for _, p := range parts {
		switch {
		case strings.HasSuffix(p.key, "vbaproject.bin"), strings.Contains(p.key, "/macrosheets/"):
			f.macros = true
		case strings.HasSuffix(p.key, ".rels"):
			scan(p, f.relation)
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return importance(a.key) - importance(b.key) })
	for _, p := range parts {
		if path.Ext(p.key) == ".xml" && !fontless(p.key) {
			scan(p, f.openXMLFont(p.key))
		}
	}
}

// relation adds what is outside the package and not a hyperlink.
func (f *finder) relation(e officefile.Tag) {
	if string(e.Name()) == "Relationship" && strings.EqualFold(e.Get("TargetMode"), "External") &&
		!strings.HasSuffix(e.Get("Type"), "/hyperlink") {
		f.link(e.Get("Target"))
	}
}

// importance orders parts in case not all can be read.
func importance(key string) int {
	directory, name := path.Split(key)
	switch {
	case strings.HasSuffix(directory, "/theme/"), strings.HasSuffix(directory, "/slidemasters/"), name == "styles.xml",
		name == "fonttable.xml", name == "presentation.xml":
		return 0
	case strings.HasSuffix(directory, "/slidelayouts/"):
		return 1
	default:
		return 2
	}
}

var fontlessDirectories = []string{
	"docprops/", "customxml/", "xl/worksheets/", "xl/pivot", "xl/tables/", "xl/externallinks/", "ppt/tags/",
}

// fontless reports whether a part names no fonts, or none that are visible: such parts may be large.
func fontless(key string) bool {
	for _, directory := range fontlessDirectories {
		if strings.HasPrefix(key, directory) {
			return true
		}
	}
	return path.Base(key) == "[content_types].xml" || path.Base(key) == "calcchain.xml"
}

// openXMLFont returns a visitor of the places where fonts are named: DrawingML in slides, themes and charts, runs and
// styles of WordprocessingML, styles and rich strings of SpreadsheetML.
func (f *finder) openXMLFont(key string) func(officefile.Tag) {
	typeface := func(e officefile.Tag, of script) {
		e.Attributes(func(name, value []byte) {
			if string(name) == "typeface" && !bytes.HasPrefix(value, []byte("+")) { // "+mn-lt" is the theme's, which is named there
				f.fontIn(value, of)
			}
		})
	}
	styles := key == "xl/styles.xml"
	presentation := key == "ppt/presentation.xml"
	runs := western
	if key == "word/numbering.xml" { // all bullets that Word offers, used or not
		runs = other
	}
	listed := ""
	return func(e officefile.Tag) {
		switch string(e.Name()) {
		case "latin", "sym":
			typeface(e, western)
		case "ea", "cs", "buFont":
			typeface(e, other)
		case "rFonts":
			e.Attributes(func(name, value []byte) {
				switch string(name) {
				case "ascii", "hAnsi":
					f.fontIn(value, runs)
				case "cs", "eastAsia":
					f.fontIn(value, other)
				}
			})
		case "rFont":
			f.font(e.Get("val"), western)
		case "name":
			if styles {
				f.font(e.Get("val"), western)
			}
		case "font":
			listed = e.Get("name")
			if presentation { // only its list of embedded fonts has these
				f.embedded(e.Get("typeface"))
			}
		case "embedRegular", "embedBold", "embedItalic", "embedBoldItalic":
			if listed != "" {
				f.embedded(listed)
			}
		}
	}
}

// embedded adds the name of a font that the document contains. One that nothing names is for no script that matters.
func (f *finder) embedded(name string) {
	f.font(name, other).Embedded = true
}
