package libreoffice

import (
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
)

// settings forbids what a document could do beyond being converted; each item says what. Without them a picture linked in
// a presentation was read from disk into the PDF, and one linked in a text was fetched from the network (LibreOffice 7.4).
//
//go:embed registrymodifications.xcu
var settings []byte

// warmDocuments are tiny documents of the three families, in the formats that people send most. What LibreOffice loads for
// them every child is born with.
//
//go:embed warm
var warmDocuments embed.FS

// canary is the warm document that a new parent's first child converts.
const canary = "text.docx"

// furnish makes the folder of a parent: a profile, and documents to warm up on.
func furnish(folder string) (profile string, warm []wire.Warm, err error) {
	profile = filepath.Join(folder, "profile")
	documents := filepath.Join(folder, "warm")
	for _, path := range []string{filepath.Join(profile, "user"), documents} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return "", nil, fmt.Errorf("make a folder for LibreOffice: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(profile, "user", "registrymodifications.xcu"), settings, 0o600); err != nil {
		return "", nil, fmt.Errorf("write LibreOffice's settings: %w", err)
	}
	// A document's own fonts are unpacked into the profile, which children cannot write to; this leads into their own folder.
	if err := os.Symlink("/proc/self/cwd", filepath.Join(profile, "user", "temp")); err != nil {
		return "", nil, fmt.Errorf("prepare LibreOffice's folder for fonts: %w", err)
	}
	found, err := fs.ReadDir(warmDocuments, "warm")
	if err != nil {
		return "", nil, fmt.Errorf("list the documents to warm up on: %w", err)
	}
	for _, entry := range found {
		content, err := warmDocuments.ReadFile("warm/" + entry.Name())
		if err != nil {
			return "", nil, fmt.Errorf("read a document to warm up on: %w", err)
		}
		path := filepath.Join(documents, entry.Name())
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", nil, fmt.Errorf("write a document to warm up on: %w", err)
		}
		format, _ := format.ByID(strings.TrimPrefix(filepath.Ext(path), "."))
		warm = append(warm, wire.Warm{
			SourceURL: fileURL(path), LoadOptions: "Batch=true," + loadOptions(format.Import, ""), TargetURL: fileURL(path + ".pdf"), Format: "pdf",
		})
	}
	return profile, warm, nil
}

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }
