package preflight

import (
	"io"
	"path"
	"strings"

	"github.com/docmill/docmill/contract/officefile"
)

// openDocument scans a package of OpenDocument. Its parts may be encrypted; then they are not XML, and nothing is
// found.
func (f *finder) openDocument(parts []part, scan scanner) {
	for _, p := range parts {
		directory, name := path.Split(p.key)
		switch {
		case strings.HasPrefix(directory, "basic/") && name != "" && name != "script-lb.xml" && name != "script-lc.xml",
			strings.HasPrefix(directory, "scripts/") && name != "":
			f.macros = true
		}
	}
	// Styles first: they are small. Objects inside the document have such parts, too.
	for _, wanted := range []string{"styles.xml", "content.xml"} {
		for _, p := range parts {
			if path.Base(p.key) == wanted {
				scan(p, f.openDocumentElement(false))
			}
		}
	}
}

// flatODF scans OpenDocument in one XML file.
func (f *finder) flatODF(r io.Reader) { f.scanShown(r, f.openDocumentElement(true)) }

// openDocumentElement returns a visitor of one part. In a flat document every relative address leads outside.
func (f *finder) openDocumentElement(flat bool) func(officefile.Tag) {
	families := map[string]string{} // of the declared fonts
	declared := ""
	return func(e officefile.Tag) {
		switch string(e.Name()) {
		case "font-face":
			declared = e.Get("font-family")
			if len(families) < maxDistinct {
				families[e.Get("name")] = declared
			}
			return
		case "font-face-uri":
			f.embedded(declared)
			return
		case "module": // of a Basic library in a flat document
			f.macros = f.macros || flat
		case "a", "form", "script", "event-listener", "button", "image-map", "area-rectangle", "area-circle", "area-polygon":
			return // what a reader may click, or what would run
		case "dde-source", "dde-connection-decl":
			f.link("dde:" + e.Get("dde-application") + "|" + e.Get("dde-topic") + "!" + e.Get("dde-item"))
			return
		}
		if !e.Mentions("font-") && !e.Mentions("href") {
			return
		}
		e.Attributes(func(name, value []byte) {
			switch string(name) {
			case "font-name":
				f.font(families[officefile.Unescape(value)], western)
			case "font-name-asian", "font-name-complex":
				f.font(families[officefile.Unescape(value)], other)
			case "font-family":
				f.fontIn(value, western)
			case "font-family-asian", "font-family-complex":
				f.fontIn(value, other)
			case "href":
				if address := officefile.Unescape(value); leadsOutside(address, flat) {
					f.link(address)
				}
			}
		})
	}
}

// leadsOutside reports whether an address is outside the document. Relative addresses of a package are inside, unless
// they climb out.
func leadsOutside(address string, flat bool) bool {
	address = strings.TrimSpace(address)
	if address == "" || address[0] == '#' {
		return false
	}
	if scheme, _, found := strings.Cut(address, ":"); found && !strings.ContainsAny(scheme, "/.#?") {
		switch strings.ToLower(scheme) {
		case "data", "vnd.sun.star.graphicobject", "vnd.sun.star.package", "vnd.sun.star.embeddedobject", "vnd.sun.star.script":
			return false
		}
		return true
	}
	return flat || address[0] == '/' || strings.HasPrefix(address, "../") || strings.Contains(address, `\`)
}
