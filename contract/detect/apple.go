package detect

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"io"
	"path"
	"strings"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/officefile"
)

// maxAppleHead is enough of the first part of an iWork document to see which program wrote it.
const maxAppleHead = 4 << 10

// apple returns the iWork program of Apple that wrote a package, if one did. Until 2009 the document was one XML
// file; since 2013 it is a directory of archives in a format of Apple's own, packed once or, if another program packed
// the directory, twice. No entry is opened more than once, and at most one of each kind.
func apple(p *officefile.Package) (content, bool) {
	id, encrypted := "", false
	rootSeen, archiveSeen := false, false
	for _, f := range p.File {
		switch directory, file := path.Split(f.Name); {
		case file == ".iwph" || file == ".iwpv2": // the hint and the verifier of a password
			encrypted = true
		case file == "index.apxl" || file == "index.apxl.gz":
			id = "key"
		case file == "index.xml" && directory == "" && !rootSeen:
			rootSeen = true
			id = appleRoot(p, f)
		case !strings.HasSuffix(directory, "Index/") && file != "Index.zip":
		case strings.HasPrefix(file, "Slide") || strings.HasPrefix(file, "MasterSlide"):
			id = "key"
		case file == "Document.iwa" && id == "" && !archiveSeen:
			archiveSeen = true
			id = appleArchive(p, f)
		case file == "Index.zip":
			id = strings.TrimPrefix(path.Ext(path.Clean(directory)), ".") // the directory has the document's name
		}
	}
	f, ok := format.AnyByID(id)
	return content{format: f, encrypted: encrypted}, ok && strings.HasPrefix(f.MediaType, "application/vnd.apple.")
}

// appleRoot distinguishes a text and a spreadsheet of before 2013 by the namespaces of their roots.
func appleRoot(p *officefile.Package, f *zip.File) (id string) {
	r, err := p.Open(f, maxAppleHead)
	if err != nil {
		return ""
	}
	defer r.Close()
	_ = elements(r, func(root xml.StartElement) bool {
		switch root.Name.Space {
		case "http://developer.apple.com/namespaces/ls":
			id = "numbers"
		case "http://developer.apple.com/namespaces/sl":
			id = "pages"
		}
		return false
	})
	return id
}

// appleArchive distinguishes a text from a spreadsheet by the type of the first message of the archive: 10000 in
// Pages, 1 in Numbers (and in Keynote, which has slides). The archive is a block of Snappy, which leaves the first
// bytes as they are.
func appleArchive(p *officefile.Package, f *zip.File) string {
	r, err := p.Open(f, maxAppleHead)
	if err != nil {
		return ""
	}
	defer r.Close()
	head := make([]byte, 32)
	n, _ := io.ReadFull(r, head)
	if bytes.Contains(head[:n], []byte("\x08\x90\x4e")) { // field 1 is 10000
		return "pages"
	}
	return "numbers"
}
