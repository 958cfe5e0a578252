package upload

import (
	"fmt"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/problem"
)

// maxFilename is the limit of file systems, and so of the clients' names: in bytes, not characters.
const maxFilename = 255

// dispositionWanted explains how to name a raw body.
const dispositionWanted = `must have the form: attachment; filename="deck.pptx", or for names that are not ASCII: attachment; filename*=UTF-8''d%C3%A9ck.pptx`

// filenameOf returns the name of a raw body from its Content-Disposition (RFC 6266): filename* takes precedence.
func filenameOf(disposition string) (string, error) {
	kind, params, err := mime.ParseMediaType(disposition)
	if err != nil || strings.ContainsAny(kind, `/=`) {
		return "", headerInvalid("Content-Disposition", dispositionWanted).Because(err)
	}
	name, named := params["filename"]
	if !named {
		return "", headerInvalid("Content-Disposition", dispositionWanted)
	}
	return baseName(name)
}

// filenameOfPart returns the name of a form's file. Browsers encode a quotation mark in it as %22 and nothing else
// (WHATWG HTML, multipart/form-data encoding algorithm).
func filenameOfPart(disposition string) (string, error) {
	_, params, err := mime.ParseMediaType(disposition)
	name, named := params["filename"]
	if err != nil || !named {
		return "", problem.New(problem.FileNameInvalid, "The form field %q has no file name.", filePart).Because(err)
	}
	return baseName(strings.ReplaceAll(name, "%22", `"`))
}

// baseName removes the directories of Unix and Windows paths and checks that the rest is the name of a file.
func baseName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", problem.New(problem.FileNameInvalid, "The file name is not UTF-8.")
	}
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	if name == "" || name == "." || name == ".." || strings.TrimSpace(name) == "" {
		return "", problem.New(problem.FileNameInvalid, "The file name is empty.")
	}
	if len(name) > maxFilename {
		return "", problem.New(problem.FileNameInvalid, "The file name has %d bytes.", len(name))
	}
	if i := strings.IndexFunc(name, unicode.IsControl); i >= 0 {
		control, _ := utf8.DecodeRuneInString(name[i:])
		return "", problem.New(problem.FileNameInvalid, "The file name contains the control character %s.", fmt.Sprintf("%U", control))
	}
	return name, nil
}
