package chaos

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/docmill/docmill/client"
)

// kind is a kind of document whose conversion has a known result.
type kind struct {
	name string
	// weight is how often it is submitted, relative to the others.
	weight  int
	file    string
	options map[string]string
	// pages is the number of pages of the result; 0 if the document is to fail with one of the codes.
	pages int
	codes []client.Code
	// signed documents contain a text that no other submission has, which must be in the result.
	signed bool
	// marked documents contain something that no other submission has, so that each of them is converted.
	marked bool
	// change makes the document from the file.
	change func([]byte) ([]byte, error)
}

// killer is the format of the documents that kill their converter. No other document has it.
const killer = "wps"

// quick is the kind of which most documents are.
func quick() kind {
	return kind{name: "one page", weight: 300, file: "synth-letter.txt", pages: 1, signed: true}
}

const locked = "gotenberg__protected_page_1.docx"

// kinds are the kinds of documents of the load.
func kinds() []kind {
	return []kind{
		quick(),
		{name: "table", weight: 40, file: "synth-table.csv", pages: 1},
		{name: "three pages", weight: 50, file: "synth-three-pages.docx", pages: 3},
		{name: "100 slides", weight: 8, file: "odftoolkit__Presentation7.odp", pages: 100, marked: true}, // takes 5 s and more
		{name: "password", weight: 40, file: locked, options: password("foo"), pages: 1},
		{name: "wrong password", weight: 30, file: locked, options: password("bar"), codes: []client.Code{client.CodePasswordWrong}},
		{name: "no password", weight: 20, file: locked, codes: []client.Code{client.CodePasswordRequired}},
		{
			name: "malformed", weight: 30, file: "synth-letter.docx", change: breakDocument,
			codes: []client.Code{client.CodeDocumentMalformed},
		},
		// It may end in any way, except that it must not take other jobs with it: there may be moments in which no converter is
		// killed, because it is being restarted already.
		{
			name: "kills its converter", weight: 3, file: "tika__testWORKSWordProcessor4.0." + killer, pages: 1,
			codes: []client.Code{client.CodeEngineCrashed, client.CodeAttemptsExhausted},
		},
	}
}

func password(is string) map[string]string { return map[string]string{"password": is} }

// content returns the document of a submission.
func (k kind) content(testdata, signature string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(testdata, k.file))
	if err != nil {
		return nil, err
	}
	if k.signed {
		content = fmt.Appendf(content, "\n\n%s\n", signature)
	}
	switch {
	case k.change != nil:
		return k.change(content)
	case k.marked:
		return mark(content, signature)
	default:
		return content, nil
	}
}

// mark adds a comment to the ZIP file of an Office document.
func mark(content []byte, comment string) ([]byte, error) {
	source, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	var marked bytes.Buffer
	target := zip.NewWriter(&marked)
	for _, file := range source.File {
		if err := target.Copy(file); err != nil {
			return nil, err
		}
	}
	err = errors.Join(target.SetComment(comment), target.Close())
	return marked.Bytes(), err
}

// breakDocument cuts off the end of the text of an Office document.
func breakDocument(content []byte) ([]byte, error) {
	source, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	var broken bytes.Buffer
	target := zip.NewWriter(&broken)
	for _, file := range source.File {
		if err := copyPart(target, file, file.Name == "word/document.xml"); err != nil {
			return nil, err
		}
	}
	err = target.Close()
	return broken.Bytes(), err
}

func copyPart(to *zip.Writer, part *zip.File, half bool) error {
	reader, err := part.Open()
	if err != nil {
		return err
	}
	defer reader.Close()
	content, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	if half {
		content = content[:len(content)/2]
	}
	writer, err := to.Create(part.Name)
	if err != nil {
		return err
	}
	_, err = writer.Write(content)
	return err
}

// fails reports whether a document of the kind may fail with that code.
func (k kind) fails(code client.Code) bool { return slices.Contains(k.codes, code) }
