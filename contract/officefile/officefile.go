// Package officefile reads the containers of office documents: packages of Office Open XML and OpenDocument (zip),
// compound files (OLE2), and what both hold: parts, streams, XML tags, records and slides.
//
// Everything here reads hostile input. All readers of one document share a [Budget], so that the work is bounded
// however deep containers are nested and whatever they claim about themselves. Entities are never expanded and
// nothing outside the document is ever fetched.
package officefile

import (
	"bytes"
	"encoding/binary"
	"iter"
	"unicode/utf16"
)

// magicCompound begins every compound file: MS-CFB 2.2.
const magicCompound = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// IsPackage reports whether a document begins like a zip file: with an entry, or with the end of an empty directory.
func IsPackage(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))
}

// IsCompound reports whether a document begins like a compound file.
func IsCompound(head []byte) bool { return bytes.HasPrefix(head, []byte(magicCompound)) }

// The records of a binary workbook that matter here: MS-XLS 2.3.
const (
	RecordEOF      = 0x000A
	RecordFilePass = 0x002F
	RecordFont     = 0x0031
	RecordBOF      = 0x0809
)

// Records returns the records of a binary workbook's stream, by number, up to the first [RecordEOF]: the globals of
// the workbook. The last record may be cut short by the end of the stream.
func Records(stream []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(stream) >= 4 {
			id, size := binary.LittleEndian.Uint16(stream), int(binary.LittleEndian.Uint16(stream[2:]))
			end := min(4+size, len(stream))
			if id == RecordEOF || !yield(id, stream[4:end]) {
				return
			}
			stream = stream[end:]
		}
	}
}

// UTF16 decodes UTF-16, low byte first, up to the first zero.
func UTF16(text []byte) string {
	units := make([]uint16, 0, len(text)/2)
	for ; len(text) >= 2; text = text[2:] {
		unit := binary.LittleEndian.Uint16(text)
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	return string(utf16.Decode(units))
}
