// Package installation finds LibreOffice.
package installation

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// ErrMissing says how to mend a missing LibreOffice. Find returns it wrapped.
var ErrMissing = errors.New("LibreOffice is missing: install libreoffice-writer, libreoffice-calc and libreoffice-impress (on Debian their -nogui variants will do), or set soffice to its program")

// Find gives LibreOffice's folder "program" (an absolute path without links), of which one of some files is part. The
// configured program may be the script soffice, a link to it, or anything else in that folder. When it is empty the search
// path and the usual places are looked at.
func Find(configured string, files ...string) (string, error) {
	if configured != "" {
		folder, ok := folderOf(configured, files)
		if !ok {
			return "", fmt.Errorf("setting soffice: %s is not in a folder with %s: %w", configured, files[0], ErrMissing)
		}
		return folder, nil
	}
	for _, candidate := range candidates() {
		if folder, ok := folderOf(candidate, files); ok {
			return folder, nil
		}
	}
	return "", ErrMissing
}

// candidates lists where distributions and The Document Foundation's own packages put it. The newest of the latter, which
// carry their version in the folder's name, comes first.
func candidates() []string {
	var found []string
	for _, name := range []string{"soffice", "libreoffice"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	for _, pattern := range []string{"/usr/lib*/libreoffice/program/", "/opt/libreoffice*/program/", "/usr/local/lib*/libreoffice/program/"} {
		matches, err := filepath.Glob(pattern + "soffice")
		if err != nil {
			continue // only a malformed pattern, and these are not
		}
		slices.Reverse(matches)
		found = append(found, matches...)
	}
	return found
}

// folderOf resolves links and looks for the files.
func folderOf(program string, files []string) (string, bool) {
	target, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", false
	}
	folder, err := filepath.Abs(filepath.Dir(target))
	if err != nil {
		return "", false
	}
	for _, name := range files {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return folder, true
		}
	}
	return "", false
}
