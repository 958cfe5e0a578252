package libreoffice

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// ErrMissing means that LibreOffice is not installed, and says what to install.
var ErrMissing = errors.New("LibreOffice is missing: install libreoffice-writer, libreoffice-calc and libreoffice-impress " +
	"(on Debian their -nogui variants are sufficient), or set soffice to its program")

// libraries are the libraries with LibreOfficeKit's entry point, of which an installation has at least one.
// zygote/office.c loads them in the same order.
var libraries = []string{"libsofficeapp.so", "libmergedlo.so"}

// installPatterns are where distributions and The Document Foundation's own packages install the program.
var installPatterns = []string{
	"/usr/lib*/libreoffice/program/soffice", "/opt/libreoffice*/program/soffice", "/usr/local/lib*/libreoffice/program/soffice",
}

// findProgram returns LibreOffice's directory "program", as an absolute path without links. The configured program may
// be the script soffice, a link to it, or anything else in that directory. If it is empty, the search path and the
// usual places are searched.
func findProgram(configured string) (string, error) {
	if configured != "" {
		directory, ok := programDirectory(configured)
		if !ok {
			return "", fmt.Errorf("setting soffice: %s is not in a directory with %s: %w", configured, libraries[0], ErrMissing)
		}
		return directory, nil
	}
	for _, candidate := range candidates() {
		if directory, ok := programDirectory(candidate); ok {
			return directory, nil
		}
	}
	return "", ErrMissing
}

// candidates lists where LibreOffice may be. Of The Document Foundation's packages, which have their version in the
// directory's name, the newest comes first.
func candidates() []string {
	var found []string
	for _, name := range []string{"soffice", "libreoffice"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	for _, pattern := range installPatterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue // only for a malformed pattern, and these are not
		}
		slices.Reverse(matches)
		found = append(found, matches...)
	}
	return found
}

// programDirectory resolves links and looks for the libraries.
func programDirectory(program string) (string, bool) {
	target, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", false
	}
	directory, err := filepath.Abs(filepath.Dir(target))
	if err != nil {
		return "", false
	}
	for _, name := range libraries {
		if _, err := os.Stat(filepath.Join(directory, name)); err == nil {
			return directory, true
		}
	}
	return "", false
}
