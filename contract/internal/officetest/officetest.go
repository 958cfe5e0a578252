// Package officetest makes documents for tests: small ones of all kinds, and hostile ones.
package officetest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
)

// The numbers of MS-CFB.
const (
	magicCompound    = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
	headerSize       = 512
	sectorSize       = 512
	headerFATs       = 109
	entrySize        = 128
	miniSectorSize   = 64
	miniStreamCutoff = 4096
	endOfChain       = 0xFFFFFFFE
	noEntry          = 0xFFFFFFFF
	streamEntry      = 2
	rootEntry        = 5
)

// Sample reads a document of the project's test data, for a package two directories below the root.
func Sample(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", name))
	require.NoError(tb, err)
	return data
}

// Part is the name and the content of an entry of a package.
type Part [2]string

// Zip packs parts in their order.
func Zip(tb testing.TB, parts ...Part) []byte {
	tb.Helper()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, p := range parts {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: p[0], Method: zip.Deflate})
		require.NoError(tb, err)
		_, err = io.WriteString(entry, p[1])
		require.NoError(tb, err)
	}
	require.NoError(tb, w.Close())
	return packed.Bytes()
}

// Relationships begins the types of the relationships of Office Open XML.
const Relationships = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

// OpenXMLParts returns the least parts of a package whose main part has a content type.
func OpenXMLParts(main, contentType string) []Part {
	return []Part{
		{"[Content_Types].xml", `<?xml version="1.0" encoding="UTF-8"?>` +
			`<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
			`<Default Extension="xml" ContentType="application/xml"/>` +
			`<Override PartName="/` + main + `" ContentType="` + contentType + `"/></Types>`},
		{"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
			`<Relationship Id="rId1" Type="` + Relationships + `/officeDocument" Target="` + main + `"/></Relationships>`},
	}
}

// Package packs the least package of a format.
func Package(tb testing.TB, id string) []byte {
	tb.Helper()
	return Zip(tb, OpenXMLParts("main.xml", MainType(tb, id))...)
}

// OpenDocument packs the least package of a media type.
func OpenDocument(tb testing.TB, mediaType, manifest string) []byte {
	tb.Helper()
	return Zip(tb, Part{"mimetype", mediaType}, Part{"META-INF/manifest.xml", manifest})
}

// PlainManifest is the manifest of a text.
const PlainManifest = `<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">` +
	`<manifest:file-entry manifest:full-path="/" manifest:media-type="` + format.OpenDocument + `text"/></manifest:manifest>`

// Stream is an entry of a compound file.
type Stream struct {
	Name string
	Data string
	// Nested puts it into a storage below the top level.
	Nested bool
}

// Compound writes a compound file of version 3: a sector of allocation table, the directory, the table of the mini
// stream, the mini stream, and then the streams of 4 KiB and more. It holds up to 62 KiB.
func Compound(streams ...Stream) []byte {
	c := &compound{fat: []uint32{0xFFFFFFFD}}
	c.directory = make([]byte, (len(streams)+2+3)/4*4*entrySize)
	directoryStart := c.add(c.directory) // its place; filled in below
	top, nested := uint32(noEntry), uint32(noEntry)
	for i, s := range streams {
		siblings := &top
		if s.Nested {
			siblings = &nested
		}
		c.put(i+2, s.Name, entry{streamEntry, noEntry, *siblings, c.addStream([]byte(s.Data)), len(s.Data)})
		*siblings = uint32(i + 2)
	}
	c.put(1, "Storage", entry{1, nested, top, 0, 0})
	c.put(0, "Root Entry", entry{rootEntry, 1, noEntry, c.add(c.mini), len(c.mini)})
	miniStart := c.add(words(c.miniFAT))
	copy(c.body, c.directory)
	table := words(c.fat)
	for len(table) < sectorSize {
		table = binary.LittleEndian.AppendUint32(table, noEntry)
	}
	return slices.Concat(compoundHeader(directoryStart, miniStart), table, c.body)
}

func compoundHeader(directoryStart, miniStart uint32) []byte {
	le := binary.LittleEndian
	header := make([]byte, headerSize)
	copy(header, magicCompound)
	le.PutUint16(header[26:], 3)
	le.PutUint16(header[30:], 9)
	le.PutUint32(header[44:], 1)
	le.PutUint32(header[48:], directoryStart)
	le.PutUint32(header[60:], miniStart)
	le.PutUint32(header[68:], endOfChain)
	for i := range headerFATs {
		le.PutUint32(header[76+4*i:], noEntry)
	}
	le.PutUint32(header[76:], 0)
	return header
}

// compound is a compound file that is being written.
type compound struct {
	fat, miniFAT          []uint32
	directory, mini, body []byte
}

type entry struct {
	kind                byte
	child, right, start uint32
	size                int
}

// add appends a chain of sectors and returns its first one.
func (c *compound) add(data []byte) uint32 {
	return appendChain(&c.body, &c.fat, data, sectorSize)
}

func (c *compound) addStream(data []byte) uint32 {
	if len(data) >= miniStreamCutoff {
		return c.add(data)
	}
	return appendChain(&c.mini, &c.miniFAT, data, miniSectorSize)
}

func appendChain(body *[]byte, fat *[]uint32, data []byte, size int) uint32 {
	if len(data) == 0 {
		return endOfChain
	}
	first := uint32(len(*fat))
	for len(data) > 0 {
		n := min(size, len(data))
		*body = append(*body, append(data[:n:n], make([]byte, size-n)...)...)
		data = data[n:]
		*fat = append(*fat, uint32(len(*fat))+1)
	}
	(*fat)[len(*fat)-1] = endOfChain
	return first
}

func (c *compound) put(i int, name string, e entry) {
	le := binary.LittleEndian
	raw := c.directory[i*entrySize:]
	for j, unit := range utf16.Encode([]rune(name)) {
		le.PutUint16(raw[2*j:], unit)
	}
	le.PutUint16(raw[64:], uint16(2*len(name)+2))
	raw[66] = e.kind
	le.PutUint32(raw[68:], noEntry)
	le.PutUint32(raw[72:], e.right)
	le.PutUint32(raw[76:], e.child)
	le.PutUint32(raw[116:], e.start)
	le.PutUint32(raw[120:], uint32(e.size))
}

func words(numbers []uint32) []byte {
	var data []byte
	for _, n := range numbers {
		data = binary.LittleEndian.AppendUint32(data, n)
	}
	return data
}

// Counter counts what is read of a document.
type Counter struct {
	io.ReaderAt
	Reads, Bytes atomic.Int64
}

// ReadAt implements [io.ReaderAt].
func (c *Counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.Reads.Add(1)
	c.Bytes.Add(int64(n))
	return n, err
}

// Half returns the first half of a deck.
func Half(tb testing.TB) []byte {
	tb.Helper()
	deck := Sample(tb, "open-xml-sdk__AllSlidesConverterTC.pptx")
	return deck[:len(deck)/2]
}

// Deck packs a presentation with a slide for each of the given roots.
func Deck(tb testing.TB, slides ...string) []byte {
	tb.Helper()
	var list, relations strings.Builder
	parts := OpenXMLParts("ppt/presentation.xml", MainType(tb, "pptx"))
	for i, root := range slides {
		fmt.Fprintf(&list, `<p:sldId id="%d" r:id="rId%d"/>`, 256+i, i)
		fmt.Fprintf(&relations, `<Relationship Id="rId%d" Target="slides/slide%d.xml"/>`, i, i)
		parts = append(parts, Part{fmt.Sprintf("ppt/slides/slide%d.xml", i), root})
	}
	return Zip(tb, append(
		parts,
		Part{"ppt/presentation.xml", `<p:presentation xmlns:p="p" xmlns:r="` + Relationships + `">` +
			`<p:sldIdLst>` + list.String() + `</p:sldIdLst>` +
			`<p:extLst><p14:sldId xmlns:p14="p14" id="256"/></p:extLst></p:presentation>`},
		Part{"ppt/_rels/presentation.xml.rels", "<Relationships>" + relations.String() + "</Relationships>"},
		Part{"ppt/slides/slide99.xml", `<p:sld xmlns:p="p"/>`}, // on no list
	)...)
}

// MainType returns the content type of a format's main part.
func MainType(tb testing.TB, id string) string {
	tb.Helper()
	f, ok := format.ByID(id)
	require.True(tb, ok)
	return f.MainType
}

// RandomBytes returns the same noise each time.
func RandomBytes(n int) []byte {
	noise := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(noise)
	return noise
}

// UTF16LE encodes with a byte order mark, low byte first.
func UTF16LE(s string) string {
	data := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(s)) {
		data = binary.LittleEndian.AppendUint16(data, unit)
	}
	return string(data)
}
