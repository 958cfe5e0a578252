package fonts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	fontset "github.com/docmill/docmill/fonts"
)

// Set is what LibreOffice and fontconfig's programs use: a configuration of fontconfig, and the faces of the font set. It is
// immutable. A nil Set stands for the system's configuration.
type Set struct {
	directory string
	// readable are further directories of fonts.
	readable []string
	// bundled reports whether the font set is in use.
	bundled bool
}

// The files in a Set's directory.
const (
	mainFile = "fonts.conf"
	wordFile = "word.conf"
)

// Install writes the font set and the configuration of fontconfig to directory, which must exist as long as the set is in use. office
// are LibreOffice's own directories of fonts, which it adds to the others; those that do not exist are ignored.
func Install(directory string, config Config, office ...string) (*Set, error) {
	user, err := config.directories()
	if err != nil {
		return nil, err
	}
	for _, path := range user {
		if contains(path, directory) {
			return nil, fmt.Errorf("setting font-dir: %s contains the working directory; set a directory that has only fonts", path)
		}
	}
	office = slices.DeleteFunc(slices.Clone(office), func(path string) bool { return !isDirectory(path) })
	s := &Set{
		directory: filepath.Join(directory, "fonts"), readable: slices.Concat(user, office), bundled: config.Mode != System,
	}
	c := configuration{
		mode: config.Mode, faces: filepath.Join(s.directory, "faces"), cache: filepath.Join(s.directory, "cache"),
		user: user, office: office,
	}
	if err := os.MkdirAll(c.cache, 0o700); err != nil {
		return nil, fmt.Errorf("create a directory for fonts: %w", err)
	}
	if s.bundled {
		if err := os.CopyFS(c.faces, fontset.Faces()); err != nil {
			return nil, fmt.Errorf("write the font set: %w", err)
		}
	}
	for _, name := range []string{mainFile, wordFile} {
		content, err := c.file(name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(s.directory, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("write the configuration of fontconfig: %w", err)
		}
	}
	return s, nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Bundled reports whether the font set is in use, as opposed to the system's fonts only.
func (s *Set) Bundled() bool { return s != nil && s.bundled }

// Environment returns the environment variables that make a program use the set.
func (s *Set) Environment() []string {
	if s == nil {
		return nil
	}
	return []string{"FONTCONFIG_FILE=" + filepath.Join(s.directory, mainFile)}
}

// WordFile returns a file of fontconfig with rules for documents of Word only; empty if the font set is not in use. The
// rules match the stand-ins that the main file chooses, so FcConfigParseAndLoad must add them to a configuration that has
// the main file.
func (s *Set) WordFile() string {
	if !s.Bundled() {
		return ""
	}
	return filepath.Join(s.directory, wordFile)
}

// Sources returns the directories and files, other than Docmill's own, that decide which fonts are used. It works on a nil Set.
func (s *Set) Sources() []string {
	sources := append(slices.Clone(systemDirectories), systemConfiguration)
	if s != nil {
		sources = append(sources, s.readable...)
	}
	return sources
}

// Readable returns what a sandboxed program must be able to read to use the set, besides the system's fonts.
func (s *Set) Readable() []string {
	if s == nil {
		return nil
	}
	return append([]string{s.directory}, s.readable...)
}
