package libreoffice

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// layouts are descriptions of windows that LibreOffice opens for some documents even without a screen, by their paths
// below layoutRoot. The packages for machines without a screen (Debian's -nogui) lack them, and loading a text with
// comments fails without its layout. LibreOffice's own program is not affected: it loads documents "hidden", which
// LibreOfficeKit cannot.
//
//go:embed layouts
var layouts embed.FS

// layoutRoot is the directory of an installation's layouts.
const layoutRoot = "share/config/soffice.cfg"

// completeInstallation returns an installation with all layouts: the given one if it has them, and otherwise one in
// directory that consists of links to it and the missing files.
func completeInstallation(installation, directory string) (string, error) {
	missing, err := missingLayouts(installation)
	if err != nil || len(missing) == 0 {
		return installation, err
	}
	for _, name := range missing {
		path := filepath.Join(layoutRoot, name)
		if err := linkSiblings(installation, directory, path); err != nil {
			return "", fmt.Errorf("complete LibreOffice with %s: %w", path, err)
		}
		content, err := layouts.ReadFile("layouts/" + name)
		if err != nil {
			return "", fmt.Errorf("read a layout: %w", err)
		}
		if err := os.WriteFile(filepath.Join(directory, path), content, 0o600); err != nil {
			return "", fmt.Errorf("complete LibreOffice with %s: %w", path, err)
		}
	}
	return directory, nil
}

func missingLayouts(installation string) ([]string, error) {
	var missing []string
	err := fs.WalkDir(layouts, "layouts", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, "layouts/")
		_, err = os.Stat(filepath.Join(installation, layoutRoot, name))
		if errors.Is(err, os.ErrNotExist) {
			missing = append(missing, name)
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for layouts: %w", err)
	}
	return missing, nil
}

// linkSiblings creates the directories of path below to, and in each of them links to everything in the same directory
// below from, except the next element of path.
func linkSiblings(from, to, path string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	first, rest, found := strings.Cut(path, "/")
	entries, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // the directory may be missing like the file
		return err
	}
	for _, entry := range entries {
		if entry.Name() == first {
			continue
		}
		err := os.Symlink(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name()))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if !found {
		return nil
	}
	return linkSiblings(filepath.Join(from, first), filepath.Join(to, first), rest)
}
