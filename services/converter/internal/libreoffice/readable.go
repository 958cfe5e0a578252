package libreoffice

import (
	"path/filepath"

	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// readablePaths lists what children may read besides their document: LibreOffice, what every program needs, and data on
// languages and time. Paths that a distribution does not have are ignored.
func readablePaths(program string) []string {
	return sandbox.SystemFiles(append(dataPaths(program),
		"/dev/random", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu",
	)...)
}

// dataPaths lists LibreOffice's own files and its data on languages and time, which the result depends on.
func dataPaths(program string) []string {
	return []string{
		filepath.Dir(program), "/usr/share/libreoffice", "/etc/libreoffice", "/var/lib/libreoffice",
		"/usr/share/hunspell", "/usr/share/hyphen", "/usr/share/mythes", "/usr/share/myspell", "/usr/share/liblangtag",
		"/usr/share/i18n", "/usr/share/icu", "/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone",
	}
}
