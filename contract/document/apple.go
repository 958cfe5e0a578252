package document

import (
	"bytes"
	"encoding/xml"
	"io"
	"path"
	"strings"
)

// maxAppleHead is enough of the first part of an iWork document to see what it is of.
const maxAppleHead = 4 << 10

// apple finds out which program of Apple's iWork wrote a package; false if none did. Until 2009 the document was one XML file,
// since 2013 it is a folder of archives in a format of Apple's own, packed once or, if someone else packed the folder, twice.
func (a archive) apple() (content, bool) {
	id, encrypted := "", false
	for _, f := range a.File {
		switch folder, file := path.Split(f.Name); {
		case file == ".iwph" || file == ".iwpv2": // the hint and the verifier of a password
			encrypted = true
		case file == "index.apxl" || file == "index.apxl.gz":
			id = "key"
		case file == "index.xml" && folder == "":
			id = a.appleRoot(f.Name)
		case strings.HasSuffix(folder, "Index/") && (strings.HasPrefix(file, "Slide") || strings.HasPrefix(file, "MasterSlide")):
			id = "key"
		case strings.HasSuffix(folder, "Index/") && file == "Document.iwa" && id == "":
			id = a.appleArchive(f.Name)
		case file == "Index.zip":
			id = strings.TrimPrefix(path.Ext(path.Clean(folder)), ".") // the folder has the document's name
		}
	}
	f, ok := formatByID(id)
	return content{format: f, encrypted: encrypted}, ok && strings.HasPrefix(f.MediaType, "application/vnd.apple.")
}

// appleRoot tells a text and a spreadsheet of before 2013 apart by the names of their roots.
func (a archive) appleRoot(part string) (id string) {
	_ = a.elements(part, maxAppleHead, func(root xml.StartElement) bool {
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

// appleArchive tells a text from a spreadsheet by the type of the first message of the archive: 10000 in Pages, 1 in Numbers (and
// in Keynote, which has slides). The archive is a block of Snappy, which leaves the first bytes as they are.
func (a archive) appleArchive(part string) string {
	r, err := a.part(part, maxAppleHead)
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
