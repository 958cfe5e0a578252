package fonts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The values of the setting fonts.
const (
	// Bundled uses Docmill's font set and the packages that it relies on, for the same result on every machine.
	Bundled = "bundled"
	// BundledAndSystem adds all fonts that are installed.
	BundledAndSystem = "bundled+system"
	// System is only what is installed, with the substitutes of this machine's fontconfig.
	System = "system"
)

// Config are the settings of the fonts.
type Config struct {
	Mode        string   `name:"fonts" default:"bundled" enum:"bundled,bundled+system,system" help:"Fonts to use. bundled: Docmill's font set and the free fonts it relies on, for the same pages on every machine. bundled+system: also all installed fonts. system: only the installed fonts."`
	Directories []string `name:"font-dir" help:"Directory with your own fonts, which take precedence over Docmill's stand-ins. Can be repeated." placeholder:"DIRECTORY" sep:"none"`
}

// maxDirectories is how many directories may be set. LibreOffice's processes can be given access to 64 in all.
const maxDirectories = 16

// notForFonts are directories of the system, whose files the process that reads a document must not read.
var notForFonts = []string{"/", "/boot", "/dev", "/etc", "/home", "/mnt", "/proc", "/root", "/run", "/sys", "/tmp", "/var"}

// Validate rejects directories that cannot be read, and those that have other files than fonts.
func (c Config) Validate() error {
	// kong checks the mode; this is for other callers.
	if !slices.Contains([]string{"", Bundled, BundledAndSystem, System}, c.Mode) {
		return fmt.Errorf("setting fonts: %q is not %s, %s or %s", c.Mode, Bundled, BundledAndSystem, System)
	}
	var errs []error
	paths, err := c.directories()
	if err != nil {
		errs = append(errs, err)
	}
	if len(paths) > maxDirectories {
		errs = append(errs, fmt.Errorf("setting font-dir: %d directories are too many; the maximum is %d", len(paths), maxDirectories))
	}
	for _, path := range paths {
		if slices.Contains(notForFonts, path) {
			errs = append(errs, fmt.Errorf("setting font-dir: %s is a directory of the system; set one that has only fonts", path))
		} else if _, err := os.ReadDir(path); err != nil {
			errs = append(errs, fmt.Errorf("setting font-dir: cannot read the directory: %w", err))
		} else if link := leadingOut(path, slices.Concat(paths, systemDirectories)); link != "" {
			errs = append(errs, fmt.Errorf("setting font-dir: the link %s leads to a file that LibreOffice's sandbox cannot read; copy the file instead, or set its directory, too", link))
		}
	}
	return errors.Join(errs...)
}

// leadingOut returns a symbolic link in a directory whose target is in none of the readable ones; empty if there is none. Fontconfig
// would find the font, and LibreOffice could not read it. Links that lead nowhere are ignored, as fontconfig does.
func leadingOut(directory string, readable []string) (link string) {
	_ = filepath.WalkDir(directory, func(path string, entry os.DirEntry, _ error) error {
		if entry == nil || entry.Type()&os.ModeSymlink == 0 {
			return nil
		}
		target, _ := filepath.EvalSymlinks(path)
		if target == "" || slices.ContainsFunc(readable, func(directory string) bool { return contains(directory, target) }) {
			return nil
		}
		link = path
		return filepath.SkipAll
	})
	return link
}

// contains reports whether a path is in a directory.
func contains(directory, path string) bool {
	inside, err := filepath.Rel(directory, path)
	return err == nil && filepath.IsLocal(inside)
}

// directories returns the absolute paths of the directories, with symbolic links resolved, because the sandbox grants access to
// the targets only. Empty names, such as that of an empty environment variable, are ignored.
func (c Config) directories() ([]string, error) {
	var paths []string
	for _, directory := range c.Directories {
		if directory == "" {
			continue
		}
		path, err := filepath.Abs(directory)
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		if err != nil {
			return nil, fmt.Errorf("setting font-dir: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}
