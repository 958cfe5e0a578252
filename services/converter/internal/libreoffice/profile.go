package libreoffice

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
)

// settings disable what a document could do besides being converted; the file has a comment for each item. Without them
// an image linked in a presentation was read from disk into the PDF, and one linked in a text was fetched from the
// network (LibreOffice 7.4).
//
//go:embed registrymodifications.xcu
var settings []byte

// warmUpFiles are tiny documents. What LibreOffice loads for them is in memory in every child from its start.
//
//go:embed warm
var warmUpFiles embed.FS

// warmUpDocuments are the names of warmUpFiles: the formats of the three families that are sent most. Texts are first,
// because the first one is also the canary, and a text is converted in the shortest time.
var warmUpDocuments = []string{"text.docx", "text.odt", "deck.pptx", "sheet.xlsx", "table.csv"}

// warmUp returns the names of the documents to warm up with. The first one is the canary, which a new instance's first
// child converts.
func (c Config) warmUp() []string {
	var names []string
	for _, name := range warmUpDocuments {
		family := warmUpFormat(name).Family
		// Drawings are opened by the code for presentations.
		if slices.Contains(c.Expected, family) || family == format.Presentation && slices.Contains(c.Expected, format.Drawing) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return warmUpDocuments
	}
	return names
}

func warmUpFormat(name string) format.Format {
	f, _ := format.ByID(strings.TrimPrefix(filepath.Ext(name), "."))
	return f
}

// writeProfile writes the directory of an instance: LibreOffice's profile, and the documents with these names to warm up
// with.
func writeProfile(directory string, names []string) (profile string, warm []wire.Warm, err error) {
	profile = filepath.Join(directory, "profile")
	documents := filepath.Join(directory, "warm")
	for _, path := range []string{filepath.Join(profile, "user"), documents} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return "", nil, fmt.Errorf("create a directory for LibreOffice: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(profile, "user", "registrymodifications.xcu"), settings, 0o600); err != nil {
		return "", nil, fmt.Errorf("write LibreOffice's settings: %w", err)
	}
	// LibreOffice unpacks embedded fonts into the profile, which children cannot write to; this link leads to their own
	// directory.
	if err := os.Symlink("/proc/self/cwd", filepath.Join(profile, "user", "temp")); err != nil {
		return "", nil, fmt.Errorf("link LibreOffice's directory for embedded fonts: %w", err)
	}
	if err := writeBars(filepath.Join(profile, "user")); err != nil {
		return "", nil, fmt.Errorf("write LibreOffice's menu and status bars: %w", err)
	}
	for _, name := range names {
		content, err := warmUpFiles.ReadFile("warm/" + name)
		if err != nil {
			return "", nil, fmt.Errorf("read a warm-up document: %w", err)
		}
		path := filepath.Join(documents, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", nil, fmt.Errorf("write a warm-up document: %w", err)
		}
		warm = append(warm, wire.Warm{
			SourceURL: fileURL(path), LoadOptions: warmUpOptions(warmUpFormat(name).Import),
			TargetURL: fileURL(path + ".pdf"), Format: format.TargetPDF,
		})
	}
	return profile, warm, nil
}

// bars are the elements of LibreOffice's windows that LibreOfficeKit would build for each document, and their contents
// without items. The status bar alone took 6 % of the time of a short text: it shows the number of words.
var bars = map[string]string{
	"menubar":   `<menu:menubar xmlns:menu="http://openoffice.org/2001/menu" menu:id="menubar"/>`,
	"statusbar": `<statusbar:statusbar xmlns:statusbar="http://openoffice.org/2001/statusbar"/>`,
}

// writeBars writes a user's own bars, which replace those of the installation, for each of LibreOffice's modules that
// documents open in.
func writeBars(user string) error {
	for _, module := range []string{"swriter", "sweb", "sglobal", "scalc", "simpress", "sdraw"} {
		for name, content := range bars {
			directory := filepath.Join(user, "config", "soffice.cfg", "modules", module, name)
			if err := os.MkdirAll(directory, 0o700); err != nil {
				return err
			}
			content = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + content + "\n"
			if err := os.WriteFile(filepath.Join(directory, name+".xml"), []byte(content), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// readOnlyLayers returns the environment variable that makes LibreOffice's profile read-only. Otherwise LibreOffice writes
// its configuration a second after a change, in a thread of its own, and no child can be forked before that.
func readOnlyLayers(program string) ([]string, error) {
	const name, writable, readOnly = "CONFIGURATION_LAYERS=", " user:!", " user:*"
	settings, err := os.ReadFile(filepath.Join(program, "fundamentalrc"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read LibreOffice's layers of configuration: %w", err)
	}
	for line := range strings.Lines(string(settings)) {
		if strings.HasPrefix(line, name) && strings.Contains(line, writable) {
			return []string{strings.TrimSpace(strings.Replace(line, writable, readOnly, 1))}, nil
		}
	}
	return nil, nil // the start takes a second longer
}

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }
