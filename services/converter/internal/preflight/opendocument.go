package preflight

import (
	"io"
	"path"
	"strings"
)

// openDocument looks into a package of OpenDocument. Its parts may be encrypted: then they are no XML, and nothing is found.
func (f *finder) openDocument(parts []part) {
	for _, p := range parts {
		folder, name := path.Split(p.key)
		switch {
		case strings.HasPrefix(folder, "basic/") && name != "" && name != "script-lb.xml" && name != "script-lc.xml",
			strings.HasPrefix(folder, "scripts/") && name != "":
			f.macros = true
		}
	}
	// Styles first: they are small. Objects inside of the document have such parts, too.
	for _, wanted := range []string{"styles.xml", "content.xml"} {
		for _, p := range parts {
			if path.Base(p.key) == wanted {
				f.scanPart(p, f.openDocumentElement(false))
			}
		}
	}
}

// flatODF looks into OpenDocument in one XML file.
func (f *finder) flatODF(r io.Reader) { f.scan(r, f.openDocumentElement(true)) }

// openDocumentElement gives a visitor of one part. In a flat document every relative address leads outside.
func (f *finder) openDocumentElement(flat bool) func(tag) {
	families := map[string]string{} // of the declared fonts
	declared := ""
	return func(e tag) {
		switch string(e.name()) {
		case "font-face":
			declared = e.get("font-family")
			if len(families) < maxDistinct {
				families[e.get("name")] = declared
			}
			return
		case "font-face-uri":
			f.embedded(declared)
			return
		case "module": // of a Basic library in a flat document
			f.macros = f.macros || flat
		case "a", "form", "script", "event-listener", "button", "image-map", "area-rectangle", "area-circle", "area-polygon":
			return // what a reader may follow, or what would run
		case "dde-source", "dde-connection-decl":
			f.link("dde:" + e.get("dde-application") + "|" + e.get("dde-topic") + "!" + e.get("dde-item"))
			return
		}
		if !e.mentions("font-") && !e.mentions("href") {
			return
		}
		e.attributes(func(name, value []byte) {
			switch string(name) {
			case "font-name":
				f.font(families[plain(value)], western)
			case "font-name-asian", "font-name-complex":
				f.font(families[plain(value)], other)
			case "font-family":
				f.fontIn(value, western)
			case "font-family-asian", "font-family-complex":
				f.fontIn(value, other)
			case "href":
				if address := plain(value); leadsOutside(address, flat) {
					f.link(address)
				}
			}
		})
	}
}

// leadsOutside tells whether an address lies outside of the document. Relative addresses of a package lie in it, unless they
// climb out.
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
