package libreoffice

import "path/filepath"

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
