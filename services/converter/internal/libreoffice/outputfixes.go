package libreoffice

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/docmill/docmill/contract/format"
)

// fixOutput removes from a result what LibreOffice has no option to omit, and returns the path of the new file: the
// macros of OpenDocument, its document type for web pages, and the byte order mark that every text begins with, even an
// empty one.
func fixOutput(target format.Target, path string) (string, error) {
	switch target.ID {
	case "odt", "ods", "odp", "odg":
		return rewriteFile(path, fixPackage)
	case "txt":
		return rewriteFile(path, withoutMark)
	default:
		return path, nil
	}
}

// rewriteFile writes a new file beside an old one and returns its path. If write returns errUnchanged, it returns the
// old one.
func rewriteFile(path string, write func(out io.Writer, in *os.File) error) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(path+".fixed", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	err = write(out, in)
	if closing := out.Close(); err == nil {
		err = closing
	}
	if errors.Is(err, errUnchanged) {
		return path, os.Remove(out.Name())
	}
	return out.Name(), err
}

// errUnchanged means that a file needs no change.
var errUnchanged = errors.New("nothing to change")

func withoutMark(out io.Writer, in *os.File) error {
	const mark = "\uFEFF"
	text := bufio.NewReader(in)
	if head, _ := text.Peek(len(mark)); string(head) != mark {
		return errUnchanged
	}
	if _, err := text.Discard(len(mark)); err != nil {
		return err
	}
	_, err := io.Copy(out, text)
	return err
}

// LibreOffice converts HTML to a document type of its own, which differs from a text only in its name.
const (
	openText = "application/vnd.oasis.opendocument.text"
	webText  = openText + "-web"
)

// fixPackage copies an OpenDocument package without its libraries of macros and scripts (ODF 1.3, part 3, 16.3.2).
// References to them then lead nowhere. The document type for web pages becomes that of texts.
func fixPackage(out io.Writer, in *os.File) error {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	from, err := zip.NewReader(in, info.Size())
	if err != nil || !hasMacros(from) && !isWeb(from) { // a damaged package is refused later
		return errUnchanged
	}
	to := zip.NewWriter(out)
	for _, entry := range from.File {
		switch {
		case isMacro(entry.Name):
		case entry.Name == "META-INF/manifest.xml":
			err = copyManifest(to, entry)
		case entry.Name == "mimetype" && isWeb(from):
			err = storeEntry(to, entry.Name, []byte(openText))
		default:
			err = to.Copy(entry)
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", entry.Name, err)
		}
	}
	return to.Close()
}

func hasMacros(archive *zip.Reader) bool {
	for _, entry := range archive.File {
		if isMacro(entry.Name) {
			return true
		}
	}
	return false
}

func isWeb(archive *zip.Reader) bool {
	file, err := archive.Open("mimetype")
	if err != nil {
		return false
	}
	defer file.Close()
	kind, err := io.ReadAll(io.LimitReader(file, int64(len(webText)+1)))
	return err == nil && string(kind) == webText
}

// storeEntry writes an entry as the packaging rules require it of mimetype: uncompressed, and with its size before it.
func storeEntry(to *zip.Writer, name string, content []byte) error {
	size := uint64(len(content))
	out, err := to.CreateRaw(&zip.FileHeader{
		Name: name, CRC32: crc32.ChecksumIEEE(content), CompressedSize64: size, UncompressedSize64: size,
	})
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	return err
}

func isMacro(name string) bool {
	return strings.HasPrefix(name, "Basic/") || strings.HasPrefix(name, "Scripts/") || strings.HasPrefix(name, "Dialogs/")
}

// macroEntry matches a manifest entry as LibreOffice writes it.
var macroEntry = regexp.MustCompile(`\s*<manifest:file-entry [^>]*manifest:full-path="(Basic|Scripts|Dialogs)/[^>]*/>`)

func copyManifest(to *zip.Writer, entry *zip.File) error {
	const maxManifest = 16 << 20
	in, err := entry.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, maxManifest))
	if err != nil {
		return err
	}
	out, err := to.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Deflate, Modified: entry.Modified})
	if err != nil {
		return err
	}
	content = bytes.ReplaceAll(macroEntry.ReplaceAll(content, nil), []byte(`"`+webText+`"`), []byte(`"`+openText+`"`))
	_, err = out.Write(content)
	return err
}
