package document

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// inspectFetches bounds what an inspection reads beyond what the recognition has read: 512 KiB in 8 round trips.
	inspectFetches = 8
	// signature is how much of an entry tells what it is.
	signature = 512
	// maxPictureHead bounds what is inflated of a picture to find its size: in a JPEG that comes after all metadata.
	maxPictureHead = 256 << 10
	// maxNested bounds what is inflated of a package in a package, whose directory is at its end.
	maxNested = 4 << 20
	// maxNestedAll bounds what is inflated of all of them.
	maxNestedAll = 32 << 20
)

// inspection holds a document to limits. It looks at what the directory of a package says, and then at the beginnings of
// its entries, as far as that needs few reads: first at those that are here already, then at those that are packed best,
// as bombs are. What it does not get to see passes; the limits of the conversion hold for it.
type inspection struct {
	limits  Limits
	entries int
	growth  int64
	packed  int64
	// nested is how much has been inflated of packages in packages.
	nested int64
}

// inspect refuses a document beyond the limits. Nothing else is an error: a window that fails keeps that itself.
func (l Limits) inspect(w *window, c content) error {
	i := inspection{limits: l}
	var err error
	if c.archive != nil {
		w.fetches = min(w.fetches, inspectFetches)
		err = i.archive(*c.archive, w, 0)
	} else {
		err = i.file(w)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal
	}
	return nil
}

// file inspects a document that is no package.
func (i *inspection) file(w *window) error {
	head, err := w.head()
	if err != nil {
		return nil //nolint:nilerr // the window keeps it
	}
	all := io.NewSectionReader(w, 0, w.size)
	if mayDeclareEntities(head[:min(len(head), signature)]) {
		return i.prolog(all)
	}
	return i.picture(head, all)
}

func tooComplex(format string, args ...any) error {
	return &Refusal{Reason: TooComplex, Content: fmt.Sprintf(format, args...)}
}

// archive inspects a package. Its entries are read through w.
func (i *inspection) archive(a archive, w *window, depth int) error {
	if err := i.directory(a, w.size); err != nil {
		return err
	}
	entries := slices.DeleteFunc(slices.Clone(a.File), func(f *zip.File) bool { return f.UncompressedSize64 == 0 })
	spare := w.fetches
	w.fetches = 0
	var absent []*zip.File
	for _, f := range entries {
		w.starved = false
		if err := i.entry(f, depth); err != nil {
			return err
		}
		if w.starved {
			absent = append(absent, f)
		}
	}
	w.fetches = spare
	slices.SortStableFunc(absent, func(a, b *zip.File) int { return int(ratio(b) - ratio(a)) })
	for _, f := range absent {
		if w.fetches == 0 {
			break
		}
		if err := i.entry(f, depth); err != nil {
			return err
		}
	}
	return nil
}

// directory judges by what the directory says. LibreOffice takes no more out of an entry than is said there, and refuses one
// that holds more.
func (i *inspection) directory(a archive, size int64) error {
	var compressed int64
	i.entries += len(a.File)
	for _, f := range a.File {
		// Whatever is said, sums stay in their bounds.
		before, after := int64(min(f.CompressedSize64, 1<<40)), int64(min(f.UncompressedSize64, 1<<40))
		compressed += before
		i.growth += max(0, after-before)
		if i.limits.Ratio > 0 && ratio(f) > i.limits.Ratio && !isBitmap(f) {
			i.packed += after
		}
	}
	const mega = 1 << 20
	switch {
	case i.limits.Entries > 0 && i.entries > i.limits.Entries:
		return tooComplex("%d files in one package", i.entries)
	case i.limits.Growth > 0 && i.growth > i.limits.Growth:
		return tooComplex("%d MiB packed into %d KiB", i.growth/mega, size>>10)
	case i.limits.Packed > 0 && i.packed > i.limits.Packed:
		return tooComplex("%d MiB packed more than %d to one", i.packed/mega, i.limits.Ratio)
	case compressed > size:
		return tooComplex("files that lie over each other in their package")
	default:
		return nil
	}
}

// ratio is how well an entry is packed.
func ratio(f *zip.File) int64 {
	return int64(min(f.UncompressedSize64, 1<<40) / max(f.CompressedSize64, 1))
}

// isBitmap tells whether an entry begins like a picture that is not packed by itself.
func isBitmap(f *zip.File) bool {
	if f.UncompressedSize64 < 1<<20 { // too small for it to matter
		return false
	}
	head, _ := headOf(f)
	return isMetafile(head) || isBMP(head) || isTIFF(head)
}

func headOf(f *zip.File) ([]byte, error) {
	r, err := openPart(f, signature)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// entry inspects one file of a package. Only a refusal is an error.
func (i *inspection) entry(f *zip.File, depth int) error {
	r, err := openPart(f, int64(min(f.UncompressedSize64, maxNested)))
	if err != nil {
		return nil // LibreOffice decides what to make of what cannot be read
	}
	defer r.Close()
	return i.content(r, depth)
}

// content inspects what begins with the next byte of r.
func (i *inspection) content(r io.Reader, depth int) error {
	head := make([]byte, signature)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // likewise
	}
	head = head[:n]
	all := io.MultiReader(bytes.NewReader(head), r)
	switch {
	case isArchive(head):
		return i.inner(all, depth+1)
	case mayDeclareEntities(head):
		return i.prolog(all)
	default:
		return i.picture(head, io.LimitReader(all, maxPictureHead))
	}
}

// inner inspects a package in a package.
func (i *inspection) inner(r io.Reader, depth int) error {
	if i.limits.Depth > 0 && depth > i.limits.Depth {
		return tooComplex("packages in packages, more than %d deep", i.limits.Depth)
	}
	if i.nested >= maxNestedAll {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(r, maxNested))
	if i.nested += int64(len(data)); err != nil {
		return nil //nolint:nilerr // likewise
	}
	w := newWindow(bytes.NewReader(data), int64(len(data)), keptBlocks)
	a, err := openArchive(w)
	if err != nil {
		return nil //nolint:nilerr // likewise, or it is longer than that
	}
	return i.archive(a, w, depth)
}
