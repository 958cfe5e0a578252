package forkserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// errMissing says how to mend a missing LibreOffice.
var errMissing = errors.New("LibreOffice is missing: install libreoffice-writer, -calc and -impress (Debian), or set soffice to its program")

// findProgram gives LibreOffice's folder "program". The configured program may be the script soffice, a link to it, or
// anything else in that folder.
func findProgram(configured string) (string, error) {
	if configured != "" {
		folder, ok := programFolder(configured)
		if !ok {
			return "", fmt.Errorf("setting soffice: %s is not in a folder with LibreOffice's libraries: %w", configured, errMissing)
		}
		return folder, nil
	}
	for _, candidate := range candidates() {
		if folder, ok := programFolder(candidate); ok {
			return folder, nil
		}
	}
	return "", errMissing
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
	for _, pattern := range []string{"/usr/lib*/libreoffice/program", "/opt/libreoffice*/program", "/usr/local/lib*/libreoffice/program"} {
		matches, err := filepath.Glob(filepath.Join(pattern, "soffice"))
		if err != nil {
			continue // only a malformed pattern, and these are not
		}
		slices.Reverse(matches)
		found = append(found, matches...)
	}
	return found
}

// programFolder resolves links and looks for the library that LibreOfficeKit is in.
func programFolder(program string) (string, bool) {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", false
	}
	folder := filepath.Dir(real)
	for _, library := range []string{"libsofficeapp.so", "libmergedlo.so"} {
		if _, err := os.Stat(filepath.Join(folder, library)); err == nil {
			return folder, true
		}
	}
	return "", false
}

// readable lists what children may read beside their document: LibreOffice, libraries, fonts, and data on languages and
// time. Nothing of it is secret on any machine, and nothing else of /etc or of home folders is on it. What a
// distribution does not have is passed over.
func readable(program string) []string {
	return []string{
		filepath.Dir(program), "/usr/share/libreoffice", "/etc/libreoffice", "/var/lib/libreoffice",
		"/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache",
		"/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/etc/fonts", "/var/cache/fontconfig",
		"/usr/share/hunspell", "/usr/share/hyphen", "/usr/share/mythes", "/usr/share/myspell", "/usr/share/liblangtag",
		"/usr/share/locale", "/usr/share/i18n", "/usr/share/icu", "/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone",
		"/usr/share/color", "/dev/urandom", "/dev/random", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu",
	}
}
