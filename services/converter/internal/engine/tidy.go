package engine

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/docmill/docmill/platform/document"
)

// tidy takes out of a result what LibreOffice cannot be told to leave out, and gives the path of what is left: the macros of
// OpenDocument, and the byte order mark that it begins every text with, an empty one too.
func tidy(target document.Target, path string) (string, error) {
	switch target.ID {
	case "odt", "ods", "odp", "odg":
		return rewrite(path, withoutMacros)
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

// withoutMacros copies an OpenDocument package but for its libraries of macros and scripts (ODF 1.3, part 3, 16.3.2). What
// refers to them then leads nowhere.
func withoutMacros(out io.Writer, in *os.File) error {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	from, err := zip.NewReader(in, info.Size())
	if err != nil || !hasMacros(from) { // a damaged package is for others to refuse
		return errUnchanged
	}
	to := zip.NewWriter(out)
	for _, entry := range from.File {
		switch {
		case isMacro(entry.Name):
		case entry.Name == "META-INF/manifest.xml":
			err = copyManifest(to, entry)
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
	_, err = out.Write(macroEntry.ReplaceAll(content, nil))
	return err
}
