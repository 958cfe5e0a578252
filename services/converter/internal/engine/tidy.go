package engine

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

// tidy takes out of a result what LibreOffice cannot be told to leave out, and gives the path of what is left: the macros of
// OpenDocument, its kind for pages of the web, and the byte order mark that it begins every text with, an empty one too.
func tidy(target format.Target, path string) (string, error) {
	switch target.ID {
	case "odt", "ods", "odp", "odg":
		return rewrite(path, tidyPackage)
	case "txt":
		return rewrite(path, withoutMark)
	default:
		return path, nil
	}
}

// rewrite makes a new file beside an old one. What is written may say errUnchanged to keep the old one.
func rewrite(path string, write func(out io.Writer, in *os.File) error) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(path+".tidy", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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

// errUnchanged says that a file may stay as it is.
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

// What LibreOffice makes of HTML is of a kind of its own, which differs from a text in nothing but its name.
const (
	openText = "application/vnd.oasis.opendocument.text"
	webText  = openText + "-web"
)

// tidyPackage copies an OpenDocument package but for its libraries of macros and scripts (ODF 1.3, part 3, 16.3.2). What
// refers to them then leads nowhere. What was HTML becomes a text.
func tidyPackage(out io.Writer, in *os.File) error {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	from, err := zip.NewReader(in, info.Size())
	if err != nil || !hasMacros(from) && !isWeb(from) { // a damaged package is for others to refuse
		return errUnchanged
	}
	to := zip.NewWriter(out)
	for _, entry := range from.File {
		switch {
		case isMacro(entry.Name):
		case entry.Name == "META-INF/manifest.xml":
			err = copyManifest(to, entry)
		case entry.Name == "mimetype" && isWeb(from):
			err = store(to, entry.Name, []byte(openText))
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

// store writes a part as the packaging rules want mimetype: not packed, and with its size before it.
func store(to *zip.Writer, name string, content []byte) error {
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

func isMacro(part string) bool {
	return strings.HasPrefix(part, "Basic/") || strings.HasPrefix(part, "Scripts/") || strings.HasPrefix(part, "Dialogs/")
}

// macroEntry is a row of the manifest as LibreOffice writes it.
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
