package document

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

// sample reads a document of the project's test data.
func sample(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", name))
	require.NoError(tb, err)
	return data
}

// part is an entry of a package.
type part struct{ name, text string }

// zipOf packs parts in their order.
func zipOf(tb testing.TB, parts ...part) []byte {
	tb.Helper()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, p := range parts {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: p.name, Method: zip.Deflate})
		require.NoError(tb, err)
		_, err = io.WriteString(entry, p.text)
		require.NoError(tb, err)
	}
	require.NoError(tb, w.Close())
	return packed.Bytes()
}

const relationships = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

// openXMLParts are the least parts of a package whose main part has a content type.
func openXMLParts(main, contentType string) []part {
	return []part{
		{"[Content_Types].xml", `<?xml version="1.0" encoding="UTF-8"?>` +
			`<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
			`<Default Extension="xml" ContentType="application/xml"/>` +
			`<Override PartName="/` + main + `" ContentType="` + contentType + `"/></Types>`},
		{"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
			`<Relationship Id="rId1" Type="` + relationships + `/officeDocument" Target="` + main + `"/></Relationships>`},
	}
}

// packageOf packs the least package of a format.
func packageOf(tb testing.TB, id string) []byte {
	tb.Helper()
	f, ok := formatByID(id)
	require.True(tb, ok)
	return zipOf(tb, openXMLParts("main.xml", f.mainType)...)
}

// openDocument packs the least package of a media type.
func openDocument(tb testing.TB, mediaType, manifest string) []byte {
	tb.Helper()
	return zipOf(tb, part{"mimetype", mediaType}, part{"META-INF/manifest.xml", manifest})
}

const plainManifest = `<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">` +
	`<manifest:file-entry manifest:full-path="/" manifest:media-type="` + openDoc + `text"/></manifest:manifest>`

// stream is an entry of a compound file.
type stream struct {
	name string
	data string
	// nested puts it into a storage below the top level.
	nested bool
}

// compoundOf writes a compound file of version 3: a sector of allocation table, the directory, the table of the mini
// stream, the mini stream, and then the streams of 4 KiB and more. It holds up to 62 KiB.
func compoundOf(streams ...stream) []byte {
	const sector = 512
	le := binary.LittleEndian
	fat := []uint32{0xFFFFFFFD}
	body := make([]byte, 0, 16*sector)
	// add appends a chain of sectors and gives its first one.
	add := func(data []byte) uint32 {
		if len(data) == 0 {
			return endOfChain
		}
		first := uint32(len(fat))
		for len(data) > 0 {
			n := min(sector, len(data))
			body = append(body, append(data[:n:n], make([]byte, sector-n)...)...)
			data = data[n:]
			fat = append(fat, uint32(len(fat))+1)
		}
		fat[len(fat)-1] = endOfChain
		return first
	}

	directory := make([]byte, (len(streams)+2+3)/4*4*entrySize)
	put := func(i int, name string, kind byte, child, right, start uint32, size int) {
		raw := directory[i*entrySize:]
		for j, unit := range utf16.Encode([]rune(name)) {
			le.PutUint16(raw[2*j:], unit)
		}
		le.PutUint16(raw[64:], uint16(2*len(name)+2))
		raw[66] = kind
		le.PutUint32(raw[68:], noEntry)
		le.PutUint32(raw[72:], right)
		le.PutUint32(raw[76:], child)
		le.PutUint32(raw[116:], start)
		le.PutUint32(raw[120:], uint32(size))
	}
	directoryStart := add(directory) // its place; filled in below
	var mini []byte
	var miniFAT []uint32
	top, nested := uint32(noEntry), uint32(noEntry)
	for i, s := range streams {
		start := uint32(endOfChain)
		if len(s.data) >= miniStreamCutoff {
			start = add([]byte(s.data))
		} else if len(s.data) > 0 {
			start = uint32(len(mini) / miniSectorSize)
			for data := []byte(s.data); len(data) > 0; {
				n := min(miniSectorSize, len(data))
				mini = append(mini, append(data[:n:n], make([]byte, miniSectorSize-n)...)...)
				data = data[n:]
				miniFAT = append(miniFAT, uint32(len(miniFAT))+1)
			}
			miniFAT[len(miniFAT)-1] = endOfChain
		}
		siblings := &top
		if s.nested {
			siblings = &nested
		}
		put(i+2, s.name, streamEntry, noEntry, *siblings, start, len(s.data))
		*siblings = uint32(i + 2)
	}
	put(1, "Storage", 1, nested, top, 0, 0)
	put(0, "Root Entry", rootEntry, 1, noEntry, add(mini), len(mini))
	miniTable := make([]byte, 0, 4*len(miniFAT))
	for _, next := range miniFAT {
		miniTable = le.AppendUint32(miniTable, next)
	}
	miniStart := add(miniTable)

	header := make([]byte, headerSize)
	copy(header, compoundMagic)
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
	table := make([]byte, 0, sector)
	for _, next := range fat {
		table = le.AppendUint32(table, next)
	}
	for len(table) < sector {
		table = le.AppendUint32(table, noEntry)
	}
	copy(body, directory)
	return slices.Concat(header, table, body)
}

// counter counts what is read of a document.
type counter struct {
	io.ReaderAt
	reads, bytes atomic.Int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.reads.Add(1)
	c.bytes.Add(int64(n))
	return n, err
}

// recognise recognises a document and holds the recognition to its bound.
func recognise(tb testing.TB, data []byte, filename string) (Recognition, error) {
	tb.Helper()
	c := &counter{ReaderAt: bytes.NewReader(data)}
	r, err := Recognise(c, int64(len(data)), filename)
	require.LessOrEqual(tb, c.reads.Load(), int64(recogniseFetches))
	require.LessOrEqual(tb, c.bytes.Load(), int64(recogniseFetches*blockSize))
	return r, err
}

// half gives the first half of a deck.
func half(tb testing.TB) []byte {
	tb.Helper()
	deck := sample(tb, "open-xml-sdk__AllSlidesConverterTC.pptx")
	return deck[:len(deck)/2]
}
