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

// layouts are descriptions of windows that LibreOffice opens on some documents although nobody looks, by their places
// below layoutRoot. The packages without a screen (Debian's -nogui) lack them, and the load of a text with comments fails
// without its. LibreOffice's own program has no such trouble: it loads "hidden", which LibreOfficeKit cannot.
//
//go:embed layouts
var layouts embed.FS

// layoutRoot is where an installation has its layouts.
const layoutRoot = "share/config/soffice.cfg"

// complete gives an installation with all layouts: the one that is there if it has them, or else one in folder that is
// made of links to it and the missing files.
func complete(installation, folder string) (string, error) {
	missing, err := missingLayouts(installation)
	if err != nil || len(missing) == 0 {
		return installation, err
	}
	for _, name := range missing {
		place := filepath.Join(layoutRoot, name)
		if err := linkBeside(installation, folder, place); err != nil {
			return "", fmt.Errorf("complete LibreOffice with %s: %w", place, err)
		}
		content, err := layouts.ReadFile("layouts/" + name)
		if err != nil {
			return "", fmt.Errorf("read a layout: %w", err)
		}
		if err := os.WriteFile(filepath.Join(folder, place), content, 0o600); err != nil {
			return "", fmt.Errorf("complete LibreOffice with %s: %w", place, err)
		}
	}
	return folder, nil
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

// linkBeside makes the folders on the way to place, and in each the links to all that lies there beside the way.
func linkBeside(from, to, place string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	first, rest, found := strings.Cut(place, "/")
	entries, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // the folder may be as missing as what should be in it
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
	return linkBeside(filepath.Join(from, first), filepath.Join(to, first), rest)
}
