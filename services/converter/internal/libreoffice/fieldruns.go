package libreoffice

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"strings"

	"github.com/beevik/etree"

	"github.com/docmill/docmill/contract/officefile"
)

// LibreOffice (7.4 and 25.2) ignores the formatting of a run that has both text and a field: "- 1 -" in a footer becomes
// large and black. Word does not write such runs, but programs that make documents do, for example the library docx of npm.
// Separate runs with the same formatting mean the same. Measured with 01_invoice_en of office2pdf: the page number has 8 points
// instead of 11, as in Word's PDF, and begins 0.2 points from its place there instead of 1.3.

// Documents beyond these limits are not changed. They bound the work, which is done outside of the sandbox, to about 0.1 s and some
// 10 MB.
const (
	// maxFooter is the size of the largest header or footer that is changed, in bytes, and maxFooters the number of those that
	// are looked at. A typical one has 3 KiB.
	maxFooter  = 64 << 10
	maxFooters = 20
	// maxFooterTags is how many tags one may have, maxRunElements how many elements a run of it, and maxFormatElements how many
	// the formatting of a run, which is copied for each element. A typical footer has 100 tags, a run with a field 5 elements,
	// and its formatting 10.
	maxFooterTags     = 4000
	maxRunElements    = 16
	maxFormatElements = 32
	// maxFooterUnits bounds the work of reading them to 0.1 s.
	maxFooterUnits = 10_000_000
	// maxCopied is the size of the largest document that is copied to change a part, in bytes.
	maxCopied = 64 << 20
)

// parts maps names of parts of a package to their new contents.
type parts map[string][]byte

// and returns these parts and others.
func (p parts) and(others parts) parts {
	if p == nil {
		return others
	}
	maps.Copy(p, others)
	return p
}

// separateFields returns the headers and footers of a Word document that have to be changed, with their new contents.
func separateFields(ctx context.Context, document io.ReaderAt, size int64) parts {
	if size > maxCopied {
		return nil
	}
	budget := officefile.NewBudget(ctx, maxFooterUnits)
	p, err := officefile.OpenPackage(document, size, budget)
	if err != nil {
		return nil
	}
	var changed parts
	seen := 0
	for _, file := range p.File {
		directory, name := path.Split(file.Name)
		if directory != "word/" || !strings.HasPrefix(name, "header") && !strings.HasPrefix(name, "footer") || path.Ext(name) != ".xml" {
			continue
		}
		if seen++; seen > maxFooters {
			break
		}
		if content, ok := readPart(p, file, maxFooter); ok {
			if separated, needed := withSeparateFields(content); needed {
				if changed == nil {
					changed = parts{}
				}
				changed[file.Name] = separated
			}
		}
	}
	return changed
}

// readPart reads a part of at most limit bytes.
func readPart(p *officefile.Package, file *zip.File, limit int) ([]byte, bool) {
	r, err := p.Open(file, int64(limit)+1)
	if err != nil {
		return nil, false
	}
	defer r.Close()
	return readAll(r, limit)
}

// readAll reads at most limit bytes.
func readAll(r io.Reader, limit int) ([]byte, bool) {
	content, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	return content, err == nil && len(content) <= limit
}

// withSeparateFields returns a part of WordprocessingML in which each element of a field has a run of its own, and whether that
// is a change.
func withSeparateFields(part []byte) ([]byte, bool) {
	if !bytes.Contains(part, []byte("<w:fldChar")) || bytes.Count(part, []byte("<")) > maxFooterTags {
		return nil, false
	}
	document := etree.NewDocument()
	if err := document.ReadFromBytes(part); err != nil {
		return nil, false
	}
	changed := false
	for _, run := range document.FindElements("//w:r") {
		changed = separate(run) || changed
	}
	if !changed {
		return nil, false
	}
	content, err := document.WriteToBytes()
	return content, err == nil
}

// separate replaces a run with a field and something else by one run for each of its elements.
func separate(run *etree.Element) bool {
	var format *etree.Element
	var content []*etree.Element
	for _, child := range run.ChildElements() {
		if child.FullTag() == "w:rPr" {
			format = child
		} else {
			content = append(content, child)
		}
	}
	if len(content) < 2 || len(content) > maxRunElements || run.SelectElement("w:fldChar") == nil {
		return false
	}
	if format != nil && len(format.FindElements(".//*")) > maxFormatElements {
		return false
	}
	parent := run.Parent()
	for _, child := range content {
		own := etree.NewElement("w:r")
		own.Attr = run.Attr
		if format != nil {
			own.AddChild(format.Copy())
		}
		own.AddChild(child)
		parent.InsertChildAt(run.Index(), own)
	}
	parent.RemoveChild(run)
	return true
}

// replaceParts copies a package and replaces some of its parts. The others are copied without decompression. If it fails,
// no copy is left. The size of the package's directory was checked by separateFields.
func replaceParts(from, to string, changed parts) (err error) {
	in, err := zip.OpenReader(from)
	if err != nil {
		return fmt.Errorf("open the document: %w", err)
	}
	defer in.Close()
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create the document: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	out := zip.NewWriter(file)
	for _, entry := range in.File {
		if content, replaced := changed[entry.Name]; replaced {
			err = storeEntry(out, entry.Name, content)
		} else {
			err = out.Copy(entry)
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", entry.Name, err)
		}
	}
	return out.Close()
}
