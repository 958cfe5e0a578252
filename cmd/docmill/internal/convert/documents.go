package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docmill/docmill/contract/format"
)

// The argument - stands for the standard input as a document, and for the standard output as --output.
const stdin, stdout = "-", "-"

// document is a document to convert.
type document struct {
	// path is its path: as the user wrote it, or below a directory that the user named; "-" for the standard input.
	path string
	// name is its file name.
	name string
	// below is its directory, relative to the directory that was searched; empty for a document that the user named.
	below string
	// stem is the path of its result without the extension, or with it if whole is set. It is empty if the result goes to
	// the standard output.
	stem  string
	whole bool
	// known describes the file when it was found; nil for the standard input and if stat(2) failed.
	known fs.FileInfo
}

// searched reports whether it was found in a directory that was searched.
func (d document) searched() bool { return d.below != "" }

// search finds the documents in directories.
type search struct {
	// target is the format to convert to. Documents that cannot be converted to it, or already have it, are left out.
	target string
	// results is the resolved path of the directory for results, which is left out; empty if there is none.
	results string
	// left counts the files that were left out.
	left int
}

// expand returns the documents that the arguments name. A directory stands for the documents in it.
func (s *search) expand(args []string, stdinName string) ([]document, error) {
	var found []document
	seen := map[string]bool{}
	add := func(d document) {
		key := d.path
		if key != stdin {
			key = keyOf(key)
		}
		if !seen[key] {
			seen[key] = true
			found = append(found, d)
		}
	}
	for _, arg := range args {
		if arg == stdin {
			add(document{path: stdin, name: stdinName})
			continue
		}
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() { // what cannot be read is reported like any other failure
			add(document{path: arg, name: filepath.Base(arg), known: info})
			continue
		}
		if err := s.walk(arg, add); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// walk finds the documents in a directory and the directories below it. Hidden ones are left out. Only root may be a link,
// others are not followed: an unpacked archive could contain links to private files.
func (s *search) walk(root string, add func(document)) error {
	return filepath.WalkDir(root+"/", func(path string, entry fs.DirEntry, err error) error {
		path = filepath.Clean(path)
		if err != nil {
			if path != filepath.Clean(root) && errors.Is(err, fs.ErrNotExist) { // it was deleted meanwhile
				return nil
			}
			return fmt.Errorf("search for documents: %w", err)
		}
		if entry.IsDir() {
			if s.leavesOut(root, path) {
				return fs.SkipDir
			}
			return nil
		}
		if d, ok := s.document(root, path); ok {
			add(d)
		} else if !hidden(entry.Name()) {
			s.left++
		}
		return nil
	})
}

// leavesOut reports whether a directory at or below root is not searched.
func (s *search) leavesOut(root, directory string) bool {
	return directory != filepath.Clean(root) && (hidden(filepath.Base(directory)) || s.holdsResults(directory))
}

// document returns the document at a path below root, if there is one that can be converted.
func (s *search) document(root, path string) (document, bool) {
	if !s.convertible(filepath.Base(path)) {
		return document{}, false
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return document{}, false
	}
	below, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return document{}, false
	}
	return document{path: path, name: filepath.Base(path), below: below, known: info}, true
}

// holdsResults reports whether the results are stored in that directory.
func (s *search) holdsResults(path string) bool {
	return s.results != "" && resolved(path) == s.results
}

// convertible reports whether a file has the name of a document that can be converted. Lock files, such as ~$letter.docx,
// which office programs store beside open documents, do not count.
func (s *search) convertible(name string) bool {
	if hidden(name) || strings.HasPrefix(name, "~$") {
		return false
	}
	f, known := formatByName(name)
	if !known || f.DetectOnly {
		return false
	}
	target, possible := f.Target(s.target)
	return possible && target.Extension != extensionOf(name)
}

// formatByName returns the format that the extension of a file name stands for.
func formatByName(name string) (format.Format, bool) { return format.ByExtension(extensionOf(name)) }

// extensionOf returns the extension of a file name in lower case, without the dot.
func extensionOf(name string) string {
	return strings.ToLower(strings.TrimPrefix(filepath.Ext(name), "."))
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// sharesName reports whether there are other documents in the same directory whose names differ only in the extension.
func (s *search) sharesName(d document) bool {
	stem := strings.TrimSuffix(d.path, filepath.Ext(d.path))
	for f := range format.All() {
		for _, extension := range f.Extensions() {
			other := stem + "." + extension
			if other == d.path || !s.convertible(filepath.Base(other)) {
				continue
			}
			if info, err := os.Lstat(other); err == nil && info.Mode().IsRegular() {
				return true
			}
		}
	}
	return false
}
