// Package buildinfo says what the running program was built from.
package buildinfo

import "runtime/debug"

// Version returns the version of the main module, such as v1.2.0 or (devel), or "" if the program does not have it.
func Version() string {
	if build, found := debug.ReadBuildInfo(); found {
		return build.Main.Version
	}
	return ""
}

// Revision returns the commit that the program was built from, or "" if the program does not have it.
func Revision() string {
	if build, found := debug.ReadBuildInfo(); found {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return ""
}
