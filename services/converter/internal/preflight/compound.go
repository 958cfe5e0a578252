package preflight

import (
	"bytes"
	"encoding/binary"
	"io"

	"golang.org/x/text/encoding/charmap"

	"github.com/docmill/docmill/contract/officefile"
)

const (
	// maxStream bounds the bytes that are read of a stream. Images have streams of their own.
	maxStream = 8 << 20
	// maxFetches bounds the bytes that are read of a compound file: 32 MiB.
	maxFetches = 512
)

// compound scans a binary document of Office.
func (f *finder) compound(r io.ReaderAt, size int64) {
	file, err := officefile.OpenCompound(officefile.NewWindow(r, size, maxFetches, f.budget))
	if err != nil {
		return
	}
	f.macros = file.Has("Macros") || file.Has("_VBA_PROJECT_CUR")
	f.wordFonts(file)
	for _, name := range []string{"Workbook", "Book"} { // Book: Excel 5.0 and 95
		f.excelFonts(file.Head(name, maxStream))
	}
	f.powerPoint(file.Head("PowerPoint Document", maxStream))
}

// charset is a font's character set, as Windows numbers them.
type charset byte

// script returns what a font with this character set is for: symbols, Japanese, Korean, Chinese, Hebrew, Arabic and
// Thai are secondary.
func (c charset) script() script {
	switch c {
	case 2, 128, 129, 130, 134, 136, 177, 178, 222:
		return other
	default:
		return western
	}
}

// wordFonts reads the font table, SttbfFfn (MS-DOC 2.9.286), which the file information block (2.5) points to.
func (f *finder) wordFonts(file *officefile.Compound) {
	const (
		encryptedBit, secondTableBit = 0x0100, 0x0200
		tablePointer                 = 0x0112
		word97                       = 0x00C1
	)
	head := file.Head("WordDocument", tablePointer+8)
	if len(head) < tablePointer+8 || binary.LittleEndian.Uint16(head[2:]) < word97 {
		return
	}
	flags := binary.LittleEndian.Uint16(head[10:])
	if flags&encryptedBit != 0 {
		return
	}
	name := "0Table"
	if flags&secondTableBit != 0 {
		name = "1Table"
	}
	start, length := uint64(binary.LittleEndian.Uint32(head[tablePointer:])), uint64(binary.LittleEndian.Uint32(head[tablePointer+4:]))
	if start+length > maxStream {
		return
	}
	table := file.Head(name, int(start+length))
	if uint64(len(table)) < start+length || length < 4 {
		return
	}
	f.wordTable(table[start+4:])
}

// wordTable reads entries: the length without itself, six bytes of which the fifth is the character set, 34 bytes on
// the appearance, and the name.
func (f *finder) wordTable(table []byte) {
	const charsetPlace, namePlace = 4, 40
	for len(table) > namePlace {
		length := int(table[0]) + 1
		if length > len(table) || length < namePlace {
			return
		}
		f.font(officefile.UTF16(table[namePlace:length]), charset(table[charsetPlace]).script())
		table = table[length:]
	}
}

// excelFonts reads the records FONT (MS-XLS 2.4.122) of the workbook's globals, which come first.
func (f *finder) excelFonts(stream []byte) {
	const (
		excel97                 = 0x0600
		charsetPlace, namePlace = 12, 14
	)
	unicode := false
	for id, record := range officefile.Records(stream) {
		switch {
		case id == officefile.RecordFilePass:
			return
		case id == officefile.RecordBOF && len(record) >= 2:
			unicode = binary.LittleEndian.Uint16(record) >= excel97
		case id == officefile.RecordFont && len(record) > namePlace+1:
			f.font(excelName(record[namePlace:], unicode), charset(record[charsetPlace]).script())
		}
	}
}

// excelName reads a length in characters, since Excel 97 a flag that says whether they have 16 bits, and the
// characters.
func excelName(text []byte, unicode bool) string {
	length, text := int(text[0]), text[1:]
	if unicode {
		isWide := text[0]&1 != 0
		if text = text[1:]; isWide {
			return officefile.UTF16(text[:min(2*length, len(text))])
		}
	}
	name, _ := charmap.Windows1252.NewDecoder().Bytes(text[:min(length, len(text))])
	return string(name)
}

// powerPoint searches for the heads of two kinds of records; the tree of containers that they are in is not followed.
func (f *finder) powerPoint(stream []byte) {
	// FontEntityAtom (MS-PPT 2.9.9): type 0x0FB7, 68 bytes: 32 characters of the name, then the character set.
	const nameLength, fontLength = 64, 68
	for rest := stream; ; {
		_, after, found := bytes.Cut(rest, []byte{0xB7, 0x0F, fontLength, 0, 0, 0})
		if !found || len(after) < fontLength {
			break
		}
		f.font(officefile.UTF16(after[:nameLength]), charset(after[nameLength]).script())
		rest = after[fontLength:]
	}
	// VBAInfoContainer with its VBAInfoAtom (2.4.10): a reference, then whether there are macros.
	_, after, found := bytes.Cut(stream, []byte{0x1F, 0, 0xFF, 0x03, 0x14, 0, 0, 0, 0x02, 0, 0, 0x04, 0x0C, 0, 0, 0})
	if found && len(after) >= 8 && binary.LittleEndian.Uint32(after[4:]) != 0 {
		f.macros = true
	}
}
