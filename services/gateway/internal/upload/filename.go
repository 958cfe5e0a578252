package upload

import (
	"fmt"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/problem"
)

// maxFilename is what file systems, and so the clients' own names, keep to: bytes, not characters.
const maxFilename = 255

// dispositionWanted shows how a raw body is named.
const dispositionWanted = `must be like: attachment; filename="deck.pptx", or for names beyond ASCII: attachment; filename*=UTF-8''d%C3%A9ck.pptx`

// filenameOf reads the name of a raw body from its Content-Disposition, as RFC 6266 has it: filename* wins.
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

// filenameOfPart reads the name of a form's file. Browsers write a quotation mark in it as %22 and nothing else in a
// special way (WHATWG HTML, multipart/form-data encoding algorithm).
func filenameOfPart(disposition string) (string, error) {
	_, params, err := mime.ParseMediaType(disposition)
	name, named := params["filename"]
	if err != nil || !named {
		return "", problem.New(problem.FileNameInvalid, "The part %q comes without a file name.", filePart).Because(err)
	}
	return baseName(strings.ReplaceAll(name, "%22", `"`))
}

// baseName takes the folders of either kind of path away and refuses what is left if it is no name of a file.
func baseName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", problem.New(problem.FileNameInvalid, "The file's name is not UTF-8.")
	}
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	if name == "" || name == "." || name == ".." || strings.TrimSpace(name) == "" {
		return "", problem.New(problem.FileNameInvalid, "The file's name is empty.")
	}
	if len(name) > maxFilename {
		return "", problem.New(problem.FileNameInvalid, "The file's name has %d bytes.", len(name))
	}
	if i := strings.IndexFunc(name, unicode.IsControl); i >= 0 {
		control, _ := utf8.DecodeRuneInString(name[i:])
		return "", problem.New(problem.FileNameInvalid, "The file's name contains the control character %s.", fmt.Sprintf("%U", control))
	}
	return name, nil
}
