package document

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	// maxTypes bounds what is inflated of [Content_Types].xml and of a manifest. A deck of 1000 slides and 500 charts
	// has 1.1 MiB of content types.
	maxTypes = 4 << 20
	// maxRelations bounds what is inflated of the relations of a package or of its main part.
	maxRelations = 2 << 20
	// maxMediaType bounds what is read of the entry "mimetype"; the longest real one has 73 bytes.
	maxMediaType = 256
)

const visioRelation = "http://schemas.microsoft.com/visio/2010/relationships/document"

// errMissingPart says that a package lacks a part.
var errMissingPart = errors.New("no such part")

// archive is a zip container that holds an Office Open XML or OpenDocument package.
type archive struct{ *zip.Reader }

// openArchive reads the central directory. The window's limit bounds the directory too, and so the memory that it takes.
func openArchive(w *window) (archive, error) {
	r, err := zip.NewReader(w, w.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // nothing is written to disk under the names of entries
		return archive{}, fmt.Errorf("read the zip directory: %w", err)
	}
	return archive{r}, nil
}

// part opens an entry, of which it gives no more than limit bytes. Like LibreOffice it ignores the case of names, as the
// packaging rules demand, and takes the back slashes that some writers leave.
func (a archive) part(name string, limit int64) (io.ReadCloser, error) {
	for _, f := range a.File {
		if samePart(f.Name, name) {
			return openPart(f, limit)
		}
	}
	return nil, fmt.Errorf("open the part %s: %w", name, errMissingPart)
}

func openPart(f *zip.File, limit int64) (io.ReadCloser, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("open the part %s: %w", f.Name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, limit), r}, nil
}

func samePart(entry, name string) bool {
	return len(entry) == len(name) && partKey(entry) == partKey(name)
}

// partKey is what two names of the same part have in common.
func partKey(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
}

// has tells whether the archive holds an entry of exactly this name.
func (a archive) has(name string) bool {
	for _, f := range a.File {
		if f.Name == name {
			return true
		}
	}
	return false
}

// mediaType gives what an OpenDocument package says of itself in its entry "mimetype"; empty if there is none.
func (a archive) mediaType() (string, error) {
	if !a.has("mimetype") {
		return "", nil
	}
	r, err := a.part("mimetype", maxMediaType)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return "", fmt.Errorf("read the part mimetype: %w", err)
	}
	return strings.ToLower(strings.TrimSpace(string(text))), nil
}

// sealedPackage is the one entry of an OpenDocument package that is encrypted as a whole, beside its manifest (OpenDocument
// 1.4; LibreOffice 25.2 writes it).
const sealedPackage = "encrypted-package"

// manifest gives what the manifest of an OpenDocument package says: the media type of the whole, and whether a password is
// needed to read it. As for LibreOffice (package/source/zippackage/ZipPackage.cxx) that is so when its content is encrypted:
// a document whose macros alone are encrypted opens without asking. An unreadable manifest says nothing; LibreOffice decides
// then what to make of the rest.
func (a archive) manifest() (mediaType string, encrypted bool) {
	entry, sealedType := "", ""
	_ = a.elements("META-INF/manifest.xml", maxTypes, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "file-entry":
			entry = attribute(e, "full-path")
			switch entry {
			case "/":
				mediaType = strings.ToLower(attribute(e, "media-type"))
			case sealedPackage:
				sealedType = strings.ToLower(attribute(e, "media-type"))
			}
		case "encryption-data":
			encrypted = encrypted || entry == sealedPackage || path.Base(entry) == "content.xml"
		}
		return mediaType == "" || !encrypted
	})
	if mediaType == "" {
		mediaType = sealedType
	}
	return mediaType, encrypted
}

// mainPart gives the name of the part that an Office Open XML package is about, as its relations tell; empty if they
// name none.
func (a archive) mainPart() (string, error) {
	name := ""
	err := a.elements("_rels/.rels", maxRelations, func(e xml.StartElement) bool {
		// The namespaces of the transitional and of the strict standard differ only in front. Visio has its own.
		kind := attribute(e, "Type")
		if e.Name.Local == "Relationship" && (strings.HasSuffix(kind, "/officeDocument") || kind == visioRelation) {
			name = resolve("", attribute(e, "Target"))
		}
		return name == ""
	})
	if errors.Is(err, errMissingPart) {
		return "", nil
	}
	return name, err
}

// contentType gives the content type of a part; empty if the package tells none.
func (a archive) contentType(part string) (string, error) {
	var override, byExtension string
	extension := strings.TrimPrefix(path.Ext(part), ".")
	err := a.elements("[Content_Types].xml", maxTypes, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "Override":
			if samePart(strings.TrimPrefix(attribute(e, "PartName"), "/"), part) {
				override = attribute(e, "ContentType")
			}
		case "Default":
			if strings.EqualFold(attribute(e, "Extension"), extension) {
				byExtension = attribute(e, "ContentType")
			}
		}
		return override == ""
	})
	if override != "" {
		return override, nil
	}
	return byExtension, err
}

// elements visits the elements of a part in their order until visit gives false. It inflates no more than limit bytes.
func (a archive) elements(part string, limit int64, visit func(xml.StartElement) bool) error {
	r, err := a.part(part, limit)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := elements(r, visit); err != nil {
		return fmt.Errorf("read the part %s: %w", part, err)
	}
	return nil
}

// elements visits the elements of an XML stream in their order until visit gives false. Entities that the document itself
// declares are an error, so they are never expanded, and nothing outside of the stream is ever fetched.
func elements(r io.Reader, visit func(xml.StartElement) bool) error {
	decoder := xml.NewDecoder(transform.NewReader(r, unicode.BOMOverride(transform.Nop)))
	// Everything that is looked for is ASCII, which all other character sets of XML in the wild have in common.
	decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("parse XML: %w", err)
		}
		if start, ok := token.(xml.StartElement); ok && !visit(start) {
			return nil
		}
	}
}

// attribute gives an attribute by its local name; empty if there is none.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// resolve gives the name of the part that a relation of a part in a folder points to.
func resolve(folder, target string) string {
	target = strings.ReplaceAll(target, `\`, "/")
	if !strings.HasPrefix(target, "/") {
		target = path.Join("/", folder, target)
	}
	return strings.TrimPrefix(path.Clean(target), "/")
}
