package detect

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/docmill/docmill/contract/officefile"
)

const (
	// inspectFetches bounds the reads of an inspection, in addition to those of the detection: 512 KiB in 8 round trips.
	inspectFetches = 8
	// signature is the number of bytes of an entry that show its type, and signaturePacked the number of packed bytes
	// that are inflated for that: about half of them define codes.
	signature       = 512
	signaturePacked = 160
	// firstPacked is the number of packed bytes that are inflated first of images and of XML with a document type. It
	// suffices for nearly all; otherwise more is inflated.
	firstPacked = 2 << 10
	// maxImageHead bounds the bytes that are inflated of an image to find its size: in a JPEG that comes after all
	// metadata.
	maxImageHead = 256 << 10
	// maxNested bounds the bytes that are inflated of a package in a package, whose directory is at its end.
	maxNested = 4 << 20
	// maxHeld bounds the bytes of nested packages that are in memory at the same time: two large ones.
	maxHeld = 2 * maxNested
	// maxDeclarations bounds the declarations of entities in all of a document. Adobe Illustrator writes up to 2 KiB
	// of them per image.
	maxDeclarations = 256 << 10
)

// Costs in units of an officefile.Budget.
const (
	// costImage is charged for each byte of an image: image/jpeg searches garbage for markers at 15 ns a byte.
	costImage = 2
	// costDecoder is charged for each image: the decoder of image/jpeg has 15 KiB.
	costDecoder = 3000
	// nestedPerUnit is the number of bytes of memory that a nested package may occupy for a unit.
	nestedPerUnit = 4
)

// inspection checks a document against limits. It examines the directory of a package and then the beginnings of its
// entries, those with the highest compression ratio first, as bombs have it; in a large document, first those that are
// in memory, and then some others. Entries that it cannot examine, because that would take too many reads or more work
// than the budget allows, pass: the limits of the conversion apply to them, and a good document must not be refused for
// something that was not examined.
type inspection struct {
	limits  Limits
	budget  *officefile.Budget
	entries int
	growth  int64
	packed  int64
	// held is the number of bytes of nested packages in memory.
	held int64
	// declared is the number of bytes that declare entities.
	declared int
}

// inspect refuses a document that exceeds the limits. It returns no other error: a window records its own failure.
func (l Limits) inspect(w *officefile.Window, budget *officefile.Budget, c content) error {
	i := inspection{limits: l, budget: budget}
	var err error
	if c.archive != nil {
		w.SetFetches(min(w.Fetches(), inspectFetches))
		err = i.archive(c.archive, w, w.Size(), 0)
	} else {
		err = i.file(w)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal
	}
	return nil
}

// file inspects a document that is not a package.
func (i *inspection) file(w *officefile.Window) error {
	head, err := w.Head()
	if err != nil {
		return nil //nolint:nilerr // the window records it
	}
	if mayDeclareEntities(head[:min(len(head), signature)]) {
		_, err = i.prolog(head[:min(len(head), maxProlog)], true)
		return err
	}
	_, err = i.image(head, io.NewSectionReader(w, 0, w.Size()))
	return err
}

func tooComplex(format string, args ...any) error {
	return &Refusal{Reason: TooComplex, Content: fmt.Sprintf(format, args...)}
}

// archive inspects a package of size bytes. Its entries are read through w, unless all of it is in memory.
func (i *inspection) archive(p *officefile.Package, w *officefile.Window, size int64, depth int) error {
	if err := i.directory(p, size); err != nil {
		return err
	}
	entries := slices.DeleteFunc(slices.Clone(p.File), func(f *zip.File) bool { return f.UncompressedSize64 == 0 })
	slices.SortStableFunc(entries, func(a, b *zip.File) int { return int(ratio(b) - ratio(a)) })
	if w == nil {
		_, err := i.look(p, nil, entries, depth)
		return err
	}
	spare := w.Fetches()
	w.SetFetches(0)
	absent, err := i.look(p, w, entries, depth)
	w.SetFetches(spare)
	for _, f := range absent {
		if err != nil || w.Fetches() == 0 {
			break
		}
		err = i.entry(p, f, depth)
	}
	return err
}

// look inspects entries, and returns those that are not in memory.
func (i *inspection) look(
	p *officefile.Package, w *officefile.Window, entries []*zip.File, depth int,
) (absent []*zip.File, err error) {
	for _, f := range entries {
		if !i.afford(0) {
			break
		}
		if err := i.entry(p, f, depth); err != nil {
			return nil, err
		}
		if w != nil && w.Refused() {
			absent = append(absent, f)
		}
	}
	return absent, nil
}

// afford reports whether the budget allows more work.
func (i *inspection) afford(units int64) bool { return i.budget.Spend(units) == nil }

// directory checks the sizes in the package's directory. LibreOffice unpacks no more of an entry than the directory
// states, and refuses an entry that holds more.
func (i *inspection) directory(p *officefile.Package, size int64) error {
	var compressed int64
	i.entries += len(p.File)
	if i.limits.Entries > 0 && i.entries > i.limits.Entries {
		return tooManyFiles(i.entries)
	}
	for _, f := range p.File {
		// Whatever is claimed, sums stay in their bounds.
		before, after := int64(min(f.CompressedSize64, 1<<40)), int64(min(f.UncompressedSize64, 1<<40))
		compressed += before
		i.growth += max(0, after-before)
		if i.limits.Ratio > 0 && ratio(f) > i.limits.Ratio && !isBitmap(p, f) {
			i.packed += after
		}
	}
	const mega = 1 << 20
	switch {
	case i.limits.Growth > 0 && i.growth > i.limits.Growth:
		return tooComplex("%d MiB compressed into %d KiB", i.growth/mega, size>>10)
	case i.limits.Packed > 0 && i.packed > i.limits.Packed:
		return tooComplex("%d MiB compressed more than %d to one", i.packed/mega, i.limits.Ratio)
	case compressed > size:
		return tooComplex("files that overlap in their package")
	default:
		return nil
	}
}

func tooManyFiles(n int) error { return tooComplex("%d files in one package", n) }

// ratio returns how well an entry is packed.
func ratio(f *zip.File) int64 {
	return int64(min(f.UncompressedSize64, 1<<40) / max(f.CompressedSize64, 1))
}

// isBitmap reports whether an entry begins like an image whose format does not compress.
func isBitmap(p *officefile.Package, f *zip.File) bool {
	if f.UncompressedSize64 < 1<<20 { // too small to matter
		return false
	}
	head, _, err := p.Head(f, signature, signaturePacked)
	return err == nil && (isMetafile(head) || isBMP(head) || isTIFF(head))
}

// entry inspects one file of a package. Only a refusal is an error: an entry that cannot be read is left to
// LibreOffice.
func (i *inspection) entry(p *officefile.Package, f *zip.File, depth int) error {
	head, _, err := p.Head(f, signature, signaturePacked)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	switch {
	case officefile.IsPackage(head):
		return i.inner(p, f, depth+1)
	case mayDeclareEntities(head):
		return i.beginning(p, f, maxProlog, i.prolog)
	case imageDecoder(head) != nil:
		return i.beginning(p, f, maxImageHead, func(data []byte, _ bool) (bool, error) {
			if !i.afford(costDecoder + int64(len(data))*costImage) {
				return true, nil
			}
			if isTIFF(data) && !tiffIsHere(data) {
				return false, nil
			}
			return i.image(data, bytes.NewReader(data))
		})
	default:
		return nil
	}
}

// beginning examines the first bytes of an entry, and up to limit bytes of it if those are not enough.
func (i *inspection) beginning(
	p *officefile.Package, f *zip.File, limit int64, examine func(data []byte, last bool) (enough bool, err error),
) error {
	data, whole, err := p.Head(f, limit, firstPacked)
	if err == nil {
		enough, err := examine(data, whole || int64(len(data)) == limit)
		if err != nil || enough || whole {
			return err
		}
	}
	r, err := p.Open(f, limit)
	if err != nil {
		return nil // as in entry
	}
	defer r.Close()
	data, _ = io.ReadAll(r) // as much as can be read
	if !i.afford(0) {
		return nil
	}
	_, err = examine(data, true)
	return err
}

// inner inspects a package in a package.
func (i *inspection) inner(p *officefile.Package, f *zip.File, depth int) error {
	if i.limits.Depth > 0 && depth > i.limits.Depth {
		return tooComplex("packages nested more than %d deep", i.limits.Depth)
	}
	size := int64(min(f.UncompressedSize64, maxNested))
	if i.held+size > maxHeld { // at the earliest in the third level
		return tooComplex("nested packages of more than %d MiB", maxHeld>>20)
	}
	if !i.afford(size / nestedPerUnit) {
		return nil
	}
	r, err := p.Open(f, maxNested)
	if err != nil {
		return nil // as in entry
	}
	data, err := io.ReadAll(r)
	_ = r.Close()
	if err != nil {
		return nil // as in entry
	}
	inner, err := officefile.OpenPackage(bytes.NewReader(data), int64(len(data)), i.budget)
	if err != nil {
		return nil // as in entry, or it is longer than that
	}
	i.held += size
	defer func() { i.held -= size }()
	return i.archive(inner, nil, int64(len(data)), depth)
}
