package document

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

const (
	flatSuffix     = "-flat-xml"
	officeSpace    = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
	signatureBytes = 3072 // as much of the head as mimetype looks at
)

// content is what the bytes say, before the name has its say.
type content struct {
	// format is what the content is; its ID is empty if it is nothing of the table.
	format Format
	// title and mediaType name what is not in the table.
	title, mediaType string
	// encrypted says that the document looks encrypted.
	encrypted bool
	// sealed says that it is an encrypted Office Open XML package, of which the bytes do not tell the format.
	sealed bool
	// text is the character set of a text without a format.
	text encoding
	// archive is the container of a package.
	archive *archive
}

// identify finds out what a document is.
func identify(w *window) (content, error) {
	head, err := w.head()
	if err != nil {
		return content{}, err
	}
	switch {
	case isArchive(head):
		return identifyArchive(w, head)
	case isCompound(head):
		return identifyCompound(w)
	default:
		c, _, err := identifyHead(head, int64(len(head)) < w.size)
		return c, err
	}
}

func isArchive(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))
}

func isCompound(head []byte) bool {
	return bytes.HasPrefix(head, []byte(compoundMagic))
}

// identifyHead identifies what is no container by its beginning. cut says that the document goes on after it; decided is
// false if that might show it to be something else.
func identifyHead(head []byte, cut bool) (c content, decided bool, err error) {
	if f, ok := formatBySignature(head); ok {
		return content{format: f}, true, nil
	}
	text, isText := textEncoding(head, cut)
	decided = true
	if isText {
		if c, decided = identifyXML(head, cut); c.format.ID != "" {
			c.text = text
			return c, true, nil
		}
	}
	kind := mimetype.Detect(head[:min(len(head), signatureBytes)])
	unnamed := kind.Is("application/octet-stream")
	switch {
	case isText && descends(kind, "text/html"):
		f, _ := formatByID("html")
		return content{format: f, text: text}, decided, nil
	case isText && kind.Is("image/svg+xml"): // its root may be written with entities, which identifyXML does not follow
		f, _ := formatByID("svg")
		return content{format: f, text: text}, decided, nil
	case isText && !unnamed && (!descends(kind, "text/plain") || descends(kind, "text/xml")):
		// It is text all the same if its name says so: a CSV may begin with "BM", like a bitmap.
		return content{text: text, title: kindTitle(kind), mediaType: kind.String()}, decided, nil
	case isText:
		return content{text: text}, decided, nil
	case descends(kind, "text/plain"):
		return content{}, true, &Refusal{Reason: Unrecognisable, hint: "If it is a text, send it in UTF-8."}
	case unnamed:
		return content{}, true, &Refusal{Reason: Unrecognisable}
	default:
		return content{title: kindTitle(kind), mediaType: kind.String()}, true, nil
	}
}

// formatBySignature knows the formats by the bytes that they begin with.
func formatBySignature(head []byte) (Format, bool) {
	for _, s := range []struct {
		id      string
		matches func([]byte) bool
	}{
		{"rtf", isRichText},
		{"png", isPNG},
		{"jpeg", isJPEG},
		{"gif", isGIF},
		{"bmp", isBMP},
		{"tiff", isTIFF},
		{"webp", isWebP},
		{"emf", isEMF},
		{"wmf", isWMF},
		{"wpd", isWordPerfect},
	} {
		if s.matches(head) {
			return formatByID(s.id)
		}
	}
	return Format{}, false
}

func isRichText(head []byte) bool { return bytes.HasPrefix(head, []byte(`{\rtf`)) }

// isWordPerfect tells a text of WordPerfect from its macros, drawings and others, which begin alike: product 1, file type 10.
func isWordPerfect(head []byte) bool {
	return len(head) >= 10 && bytes.HasPrefix(head, []byte("\xffWPC")) && head[8] == 1 && head[9] == 10
}

// identifyXML finds the formats that are one XML file by its root. A head in which the root does not end decides nothing,
// if the document goes on; nor does what is no XML after all.
func identifyXML(head []byte, cut bool) (c content, decided bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(inUTF8(head), "\ufeff \t\r\n"), []byte("<")) {
		return content{}, true
	}
	found := false
	_ = elements(bytes.NewReader(head), func(root xml.StartElement) bool {
		found = true
		c.format = formatByRoot(root)
		return false
	})
	return c, found || !cut
}

func formatByRoot(root xml.StartElement) Format {
	var f Format
	switch space := root.Name.Space; root.Name.Local {
	case "document":
		if space == officeSpace {
			mediaType := strings.TrimSuffix(attribute(root, "mimetype"), "-template")
			f, _ = formatByMediaType(mediaType + flatSuffix)
		}
	case "svg":
		if space == "" || space == "http://www.w3.org/2000/svg" {
			f, _ = formatByID("svg")
		}
	case "html":
		if space == "" || space == "http://www.w3.org/1999/xhtml" {
			f, _ = formatByID("html")
		}
	case "VisioDocument":
		f, _ = formatByID("vdx")
	}
	return f
}

// descends tells whether a kind is one of another one, or that itself.
func descends(kind *mimetype.MIME, ancestor string) bool {
	for ; kind != nil; kind = kind.Parent() {
		if kind.Is(ancestor) {
			return true
		}
	}
	return false
}

// kindTitle names a kind for people: "PNG image", "PDF file".
func kindTitle(kind *mimetype.MIME) string {
	name := strings.ToUpper(strings.TrimPrefix(kind.Extension(), "."))
	if name == "" {
		name, _, _ = strings.Cut(kind.String(), ";")
	}
	top, _, _ := strings.Cut(kind.String(), "/")
	switch top {
	case "image", "audio", "video", "font":
		return name + " " + top
	default:
		return name + " file"
	}
}

func identifyArchive(w *window, head []byte) (content, error) {
	a, err := openArchive(w)
	if err != nil {
		return content{}, damaged("zip container", err)
	}
	c, err := identifyPackage(a, head)
	c.archive = &a
	return c, err
}

func identifyPackage(a archive, head []byte) (content, error) {
	mediaType, err := a.mediaType()
	if err != nil {
		return content{}, damaged("zip container", err)
	}
	fromManifest, encrypted := "", false
	if mediaType == "" || strings.HasPrefix(mediaType, openDoc) {
		fromManifest, encrypted = a.manifest()
	}
	if mediaType == "" {
		mediaType = fromManifest
	}
	if strings.HasPrefix(mediaType, openDoc) {
		f, ok := formatByMediaType(mediaType)
		if !ok {
			return content{title: "OpenDocument file", mediaType: mediaType, encrypted: encrypted}, nil
		}
		return content{format: f, encrypted: encrypted}, nil
	}
	if f, ok := formatByMediaType(mediaType); ok { // an EPUB book
		return content{format: f}, nil
	}
	return identifyOpenXML(a, head)
}

func identifyOpenXML(a archive, head []byte) (content, error) {
	main, err := a.mainPart()
	if err != nil {
		return content{}, damaged("list of parts", err)
	}
	if main == "" {
		if c, ok := a.apple(); ok {
			return c, nil
		}
		return otherArchive(head), nil
	}
	mainType, err := a.contentType(main)
	if err != nil && !errors.Is(err, errMissingPart) {
		return content{}, damaged("list of parts", err)
	}
	if f, ok := formatByMainType(mainType); ok {
		return content{format: f}, nil
	}
	return content{title: "Office Open XML package of another kind", mediaType: "application/zip"}, nil
}

// otherArchive names a zip archive that is no document: an EPUB, say. The names of entries that mimetype goes by must not
// make it a document again.
func otherArchive(head []byte) content {
	kind := mimetype.Detect(head[:min(len(head), signatureBytes)])
	_, isDocument := formatByMediaType(kind.String())
	if isDocument || !descends(kind, "application/zip") || kind.Is("application/zip") {
		return content{title: "ZIP archive", mediaType: "application/zip"}
	}
	return content{title: kindTitle(kind), mediaType: kind.String()}
}

func identifyCompound(w *window) (content, error) {
	c, err := openCompound(w, w.size)
	if err != nil {
		return content{}, damaged("OLE2 container", err)
	}
	var (
		id        string
		encrypted bool
	)
	switch {
	case c.has("EncryptedPackage"):
		return content{sealed: true, encrypted: encryptedPackage(c), title: "password-protected Office document"}, nil
	case c.has("PowerPoint Document"):
		id, encrypted = "ppt", encryptedPresentation(c)
	case c.has("WordDocument"):
		id, encrypted = "doc", encryptedText(c)
	case c.has("Workbook"):
		id, encrypted = "xls", encryptedWorkbook(c, "Workbook")
	case c.has("Book"): // Excel 5.0 and 95
		id, encrypted = "xls", encryptedWorkbook(c, "Book")
	case c.has("PP97_DUALSTORAGE"): // PowerPoint 95 and 97 in one file
		id = "ppt"
	case c.has("VisioDocument"):
		id = "vsd"
	case c.has("Quill"):
		id = "pub"
	case c.has("MN0"), bytes.HasPrefix(c.streamHead("CONTENTS", 4), []byte("CHNK")): // Works 3 and 4; Works 2000
		id = "wps"
	default:
		return otherCompound(c), nil
	}
	f, _ := formatByID(id)
	return content{format: f, encrypted: encrypted}, nil
}

func otherCompound(c *compound) content {
	if c.has("__properties_version1.0") {
		return content{title: "Outlook message", mediaType: "application/vnd.ms-outlook"}
	}
	return content{title: "OLE2 compound file", mediaType: "application/x-ole-storage"}
}

// encryptedPackage tells whether an encrypted package needs a password.
func encryptedPackage(c *compound) bool {
	return !opensPackage(c.streamHead("EncryptionInfo", maxEncryptionInfo), builtInPassword)
}

// encryptedPresentation looks for what MS-PPT 2.3.2 says: the token of an encrypted document in the current user's atom.
// The stream of the encrypted summary is what LibreOffice goes by.
func encryptedPresentation(c *compound) bool {
	const encryptedToken = 0xF3D1C4DF
	if c.has("EncryptedSummary") {
		return true
	}
	head := c.streamHead("Current User", 16)
	return len(head) == 16 && binary.LittleEndian.Uint32(head[12:]) == encryptedToken
}

// encryptedText looks at the bit fEncrypted of the file information block (MS-DOC 2.5.2; Word 6 and 95 have it, too).
func encryptedText(c *compound) bool {
	const encryptedBit = 0x0100
	head := c.streamHead("WordDocument", 12)
	return len(head) == 12 && binary.LittleEndian.Uint16(head[10:])&encryptedBit != 0
}

// encryptedWorkbook looks for the record FILEPASS (MS-XLS 2.4.117), which comes among the first ones of the workbook, for
// all that follow it are encrypted. It tells whether the workbook needs a password.
func encryptedWorkbook(c *compound, stream string) bool {
	const filePass, endOfFile = 0x002F, 0x000A
	head := c.streamHead(stream, miniStreamCutoff)
	for len(head) >= 4 {
		id, size := binary.LittleEndian.Uint16(head), int(binary.LittleEndian.Uint16(head[2:]))
		if id == filePass {
			return !opensWorkbook(head[4:min(4+size, len(head))], stream == "Workbook", builtInPassword)
		}
		if id == endOfFile || 4+size > len(head) {
			return false
		}
		head = head[4+size:]
	}
	return false
}

func damaged(what string, cause error) error {
	return &Refusal{Reason: Damaged, Content: what, cause: cause}
}
