package officefile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strings"
)

const (
	// maxDirectory bounds the directory of a package to about 30,000 entries of a real document, and 55,000 of a
	// hostile one, and 16 MiB of memory.
	maxDirectory = 5 << 19
	// maxRecords bounds the number of entries that a directory may claim: package archive/zip allocates a pointer for
	// each before it reads the first one, if the file is large enough to hold them (143 MB for a file of 512 MiB).
	// Only zip64 can claim more.
	maxRecords = 1 << 16
	// maxTypes bounds the bytes that are inflated of [Content_Types].xml and of a manifest. A deck of 1000 slides and 500
	// charts has 1.1 MiB of content types.
	maxTypes = 4 << 20
	// maxRelations bounds the bytes that are inflated of the relationships of a package or of its main part.
	maxRelations = 2 << 20
	// maxMediaType bounds the bytes that are read of the entry "mimetype"; the longest real one has 73 bytes.
	maxMediaType = 256
)

// VisioRelation is the type of the relationship that leads to the main part of a Visio drawing.
const VisioRelation = "http://schemas.microsoft.com/visio/2010/relationships/document"

// ErrMissingPart means that a package does not have a part.
var ErrMissingPart = errors.New("no such part")

var (
	errDirectory = errors.New("the directory is too long")
	errMethod    = errors.New("an unknown way of packing")
)

// Package is a zip file that holds an Office Open XML or OpenDocument package. It is for one goroutine at a time.
type Package struct {
	// File are the entries, in the order of the directory.
	File []*zip.File

	budget *Budget
	// byKey has the first entry of each [PartKey], once a part is wanted.
	byKey map[string]*zip.File
}

// OpenPackage reads the central directory of a zip file of size bytes, at most 2.5 MiB of it.
func OpenPackage(r io.ReaderAt, size int64, budget *Budget) (*Package, error) {
	if n := records(r, size); n > maxRecords {
		return nil, fmt.Errorf("read the zip directory: %w: %d entries", errDirectory, n)
	}
	directory := &directoryReader{r: r, budget: budget, left: maxDirectory}
	z, err := zip.NewReader(directory, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // nothing is written to disk under the names of entries
		return nil, fmt.Errorf("read the zip directory: %w", err)
	}
	directory.open = true
	return &Package{File: z.File, budget: budget}, nil
}

// directoryReader bounds and charges the reads until the package is open.
type directoryReader struct {
	r      io.ReaderAt
	budget *Budget
	left   int64
	open   bool
}

func (d *directoryReader) ReadAt(p []byte, off int64) (int, error) {
	if d.open {
		return d.r.ReadAt(p, off)
	}
	if d.left -= int64(len(p)); d.left < 0 {
		return 0, errDirectory
	}
	if err := d.budget.Spend(int64(len(p)) * costRecord); err != nil {
		return 0, err
	}
	return d.r.ReadAt(p, off)
}

// records returns how many entries a zip file claims to have, in the way in which package archive/zip finds that
// number; 0 if it cannot be found.
func records(r io.ReaderAt, size int64) uint64 {
	const endSize, locatorSize, end64Size = 22, 20, 56
	for _, n := range []int64{1 << 10, 65 << 10} { // first without a long comment
		tail := make([]byte, min(n, size))
		if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
			return 0
		}
		if len(tail) < endSize {
			return 0
		}
		place := bytes.LastIndex(tail[:len(tail)-endSize+4], []byte("PK\x05\x06")) // the comment may hold another one
		if place < 0 {
			continue
		}
		claimed := uint64(binary.LittleEndian.Uint16(tail[place+10:]))
		locator := make([]byte, locatorSize)
		_, err := r.ReadAt(locator, size-int64(len(tail))+int64(place)-locatorSize)
		if err != nil || !bytes.HasPrefix(locator, []byte("PK\x06\x07")) {
			return claimed
		}
		end := make([]byte, end64Size)
		_, err = r.ReadAt(end, int64(min(binary.LittleEndian.Uint64(locator[8:]), uint64(size))))
		if err != nil || !bytes.HasPrefix(end, []byte("PK\x06\x06")) {
			return claimed
		}
		return max(claimed, binary.LittleEndian.Uint64(end[32:]))
	}
	return 0
}

// Open opens an entry, of which it returns no more than limit bytes. The checksum is compared when all of it is read.
func (p *Package) Open(f *zip.File, limit int64) (io.ReadCloser, error) {
	e, err := p.open(f, limit, int64(min(f.CompressedSize64, 1<<40)))
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Head returns up to n bytes of the beginning of an entry: those that its first packed bytes yield. compress/flate
// inflates up to 32 KiB before it returns the first byte, which is too much work for a look at each of thousands of
// entries. whole reports whether that is all of the entry.
func (p *Package) Head(f *zip.File, n, packed int64) (head []byte, whole bool, err error) {
	if f.Method == zip.Store {
		packed = n
	}
	e, err := p.open(f, n, packed)
	if err != nil {
		return nil, false, err
	}
	defer e.Close()
	head, err = io.ReadAll(e)
	if len(head) == 0 && err != nil && uint64(packed) >= f.CompressedSize64 {
		return nil, false, err
	}
	return head, uint64(len(head)) == f.UncompressedSize64, p.budget.Err()
}

func (p *Package) open(f *zip.File, limit, packed int64) (*entry, error) {
	if err := p.budget.Spend(costOpen); err != nil {
		return nil, err
	}
	raw, err := f.OpenRaw()
	if err != nil {
		return nil, fmt.Errorf("open the part %s: %w", f.Name, err)
	}
	e := &entry{file: f, budget: p.budget, limit: limit, content: io.LimitReader(raw, packed)}
	switch f.Method {
	case zip.Store:
	case zip.Deflate:
		e.inflater = p.budget.inflate(e.content)
		e.content = e.inflater.output
	default:
		return nil, fmt.Errorf("open the part %s: %w", f.Name, errMethod)
	}
	return e, nil
}

// entry reads an entry of a package, and the same errors from it as package archive/zip.
type entry struct {
	file     *zip.File
	budget   *Budget
	inflater *inflater
	content  io.Reader
	limit    int64
	read     uint64
	sum      uint32
}

// Read implements [io.Reader].
func (e *entry) Read(p []byte) (int, error) {
	if e.limit <= 0 {
		return 0, io.EOF
	}
	n, err := e.content.Read(p[:min(int64(len(p)), e.limit)])
	e.limit -= int64(n)
	e.read += uint64(n)
	e.sum = crc32.Update(e.sum, crc32.IEEETable, p[:n])
	if spent := e.budget.Spend(1 + int64(n)/bytesPerUnit); spent != nil {
		return 0, spent
	}
	switch {
	case e.read > e.file.UncompressedSize64:
		return 0, fmt.Errorf("read the part %s: %w", e.file.Name, zip.ErrFormat)
	case errors.Is(err, io.EOF) && e.read < e.file.UncompressedSize64:
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF) && e.file.CRC32 != 0 && e.sum != e.file.CRC32:
		return n, fmt.Errorf("read the part %s: %w", e.file.Name, zip.ErrChecksum)
	default:
		return n, err
	}
}

// Close implements [io.Closer].
func (e *entry) Close() error {
	if e.inflater != nil {
		e.budget.release(e.inflater)
		e.inflater, e.content, e.limit = nil, nil, 0
	}
	return nil
}

// Part opens the part with a name, of which it returns no more than limit bytes. Like LibreOffice it ignores the case
// of names, as the packaging rules demand, and accepts the backslashes that some writers leave. A part that does not
// exist is [ErrMissingPart].
func (p *Package) Part(name string, limit int64) (io.ReadCloser, error) {
	if p.byKey == nil {
		p.byKey = make(map[string]*zip.File, len(p.File))
		for _, f := range p.File {
			if key := PartKey(f.Name); p.byKey[key] == nil {
				p.byKey[key] = f
			}
		}
		if err := p.budget.Spend(int64(len(p.File)) * costEntry); err != nil {
			return nil, err
		}
	}
	if f := p.byKey[PartKey(name)]; f != nil {
		return p.Open(f, limit)
	}
	return nil, fmt.Errorf("open the part %s: %w", name, ErrMissingPart)
}

// PartKey returns the canonical form of a part's name: two names of the same part have the same key.
func PartKey(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
}

// MediaType returns the media type that an OpenDocument package declares in its entry "mimetype", or nothing.
func (p *Package) MediaType() (string, error) {
	for _, f := range p.File {
		if f.Name != "mimetype" {
			continue
		}
		r, err := p.Open(f, maxMediaType)
		if err != nil {
			return "", err
		}
		defer r.Close()
		text, err := io.ReadAll(r)
		if err != nil {
			return "", fmt.Errorf("read the part mimetype: %w", err)
		}
		return strings.ToLower(strings.TrimSpace(string(text))), nil
	}
	return "", nil
}

// sealedPackage is the one entry, beside its manifest, of an OpenDocument package that is encrypted as a whole
// (OpenDocument 1.4; LibreOffice 25.2 writes it).
const sealedPackage = "encrypted-package"

// Manifest returns the media type that the manifest of an OpenDocument package declares, and whether a password is
// needed to read the package. As in LibreOffice (package/source/zippackage/ZipPackage.cxx) that is so when its
// content is encrypted: a document of which only the macros are encrypted opens without a password. An unreadable
// manifest yields nothing; LibreOffice then decides what to make of the rest.
func (p *Package) Manifest() (mediaType string, encrypted bool) {
	entry, sealedType := "", ""
	_ = p.Tags("META-INF/manifest.xml", maxTypes, func(t Tag) bool {
		switch string(t.Name()) {
		case "file-entry":
			entry = t.Get("full-path")
			switch entry {
			case "/":
				mediaType = strings.ToLower(t.Get("media-type"))
			case sealedPackage:
				sealedType = strings.ToLower(t.Get("media-type"))
			}
		case "encryption-data":
			encrypted = encrypted || entry == sealedPackage || path.Base(entry) == "content.xml"
		}
		return mediaType == "" || !encrypted
	})
	if mediaType == "" {
		mediaType = sealedType
	}
	return mediaType, encrypted
}

// MainPart returns the name of the main part of an Office Open XML package, according to its relationships; empty if
// they name none.
func (p *Package) MainPart() (string, error) {
	name := ""
	err := p.Tags("_rels/.rels", maxRelations, func(t Tag) bool {
		if string(t.Name()) != "Relationship" {
			return true
		}
		// The namespaces of the transitional and of the strict standard differ only in front. Visio has its own.
		if kind := t.Get("Type"); strings.HasSuffix(kind, "/officeDocument") || kind == VisioRelation {
			name = resolve("", t.Get("Target"))
		}
		return name == ""
	})
	if errors.Is(err, ErrMissingPart) {
		return "", nil
	}
	return name, err
}

// ContentType returns the content type of a part; empty if the package declares none.
func (p *Package) ContentType(part string) (string, error) {
	var override, byExtension string
	key, extension := PartKey(part), strings.TrimPrefix(path.Ext(part), ".")
	err := p.Tags("[Content_Types].xml", maxTypes, func(t Tag) bool {
		switch string(t.Name()) {
		case "Override":
			if name := strings.TrimPrefix(t.Get("PartName"), "/"); len(name) == len(part) && PartKey(name) == key {
				override = t.Get("ContentType")
			}
		case "Default":
			if strings.EqualFold(t.Get("Extension"), extension) {
				byExtension = t.Get("ContentType")
			}
		}
		return override == ""
	})
	if override != "" {
		return override, nil
	}
	return byExtension, err
}

// Tags visits the start tags of a part until visit returns false. It inflates no more than limit bytes; a longer part
// is an error.
func (p *Package) Tags(part string, limit int64, visit func(Tag) bool) error {
	r, err := p.Part(part, limit+1)
	if err != nil {
		return err
	}
	defer r.Close()
	left := &io.LimitedReader{R: r, N: limit + 1}
	stopped := false
	err = ScanTags(left, p.budget, func(t Tag) bool {
		stopped = !visit(t)
		return !stopped
	})
	if err == nil && left.N <= 0 && !stopped {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	if err != nil {
		return fmt.Errorf("read the part %s: %w", part, err)
	}
	return nil
}

// resolve returns the name of the part that a relationship of a part in a directory points to.
func resolve(directory, target string) string {
	target = strings.ReplaceAll(target, `\`, "/")
	if !strings.HasPrefix(target, "/") {
		target = path.Join("/", directory, target)
	}
	return strings.TrimPrefix(path.Clean(target), "/")
}
