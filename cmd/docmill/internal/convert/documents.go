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

// stdin is the argument that stands for the standard input, or the standard output.
const stdin = "-"

// document is a document to convert.
type document struct {
	// path is where it is, as the user wrote it; "-" for the standard input.
	path string
	// name is its file name.
	name string
	// below is where it is in the directory that was searched; empty for a document that was named itself.
	below string
	// stem is the path of its result without the extension; whole if the result goes to exactly that file. Empty for
	// the standard output.
	stem  string
	whole bool
	// known is what was found at path; nil if it was not looked at, or could not be.
	known fs.FileInfo
}

// search finds the documents in directories.
type search struct {
	// target is what they are to be converted into: those that cannot be, or are already in that format, are left out.
	target string
	// results is the absolute path of the directory for results, which is left out; empty if there is none.
	results string
	// left counts the files that were left out.
	left int
}

// expand returns the documents that the arguments name. A directory stands for the documents in it.
func (s *search) expand(args []string, stdinName string) ([]document, error) {
	var found []document
	seen := map[string]bool{}
	add := func(d document) {
		key, err := filepath.Abs(d.path)
		if err != nil || d.path == stdin {
			key = d.path
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

// walk finds the documents in a directory and the directories below it. Hidden ones are left out, and links to
// directories are not followed.
func (s *search) walk(root string, add func(document)) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if path != root && errors.Is(err, fs.ErrNotExist) { // it was deleted meanwhile
				return nil
			}
			return fmt.Errorf("search for documents: %w", err)
		}
		if entry.IsDir() {
			if path != root && (hidden(entry.Name()) || s.holdsResults(path)) {
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

// document returns the document at a path below root, if there is one that can be converted.
func (s *search) document(root, path string) (document, bool) {
	if !s.convertible(filepath.Base(path)) {
		return document{}, false
	}
	info, err := os.Stat(path)
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
	absolute, err := filepath.Abs(path)
	return err == nil && s.results != "" && absolute == s.results
}

// convertible reports whether a file is a document by its name. Office programs keep lock files beside open documents,
// such as ~$letter.docx.
func (s *search) convertible(name string) bool {
	if hidden(name) || strings.HasPrefix(name, "~$") {
		return false
	}
	extension := strings.ToLower(strings.TrimPrefix(filepath.Ext(name), "."))
	f, known := format.ByExtension(extension)
	if !known || f.DetectOnly {
		return false
	}
	target, possible := f.Target(s.target)
	return possible && target.Extension != extension
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// plural returns "1 document" or "3 documents".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
