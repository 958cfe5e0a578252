package officetest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxHostile is the size of the largest hostile document.
const maxHostile = 1 << 20

// Hostile returns documents of at most 1 MiB, by what they do, that cost a naive reader seconds or minutes.
func Hostile(tb testing.TB) map[string][]byte {
	tb.Helper()
	all := map[string][]byte{}
	for _, kinds := range []map[string][]byte{
		hostileEntries(tb), hostileXML(tb), hostileTags(), hostileImages(tb), hostileCompounds(), hostileTexts(),
	} {
		for does, data := range kinds {
			require.LessOrEqual(tb, len(data), maxHostile, does)
			require.NotContains(tb, all, does)
			all[does] = data
		}
	}
	return all
}

// Entry is an entry of a package as it is written, which may not be what it claims to be.
type Entry struct {
	Name   string
	Method uint16
	Packed []byte
	CRC    uint32
	Size   int
}

// nowhere is the method of entries that are only in the directory.
const nowhere = 99

// Deflated returns an entry with a content.
func Deflated(name, content string) Entry {
	return Entry{name, 8, Deflate(content), crc32.ChecksumIEEE([]byte(content)), len(content)}
}

// Stored returns an entry with a content that is not packed.
func Stored(name, content string) Entry {
	return Entry{name, 0, []byte(content), crc32.ChecksumIEEE([]byte(content)), len(content)}
}

// Deflate packs a content as well as possible.
func Deflate(content string) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestCompression)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return out.Bytes()
}

// RawZip writes a zip file of entries as they are, and copies of the directory's last entry.
func RawZip(copies int, entries ...Entry) []byte {
	le := binary.LittleEndian
	var body, directory, last []byte
	for _, e := range entries {
		var fields []byte
		fields = append(fields, 20, 0, 0, 0)
		fields = le.AppendUint16(fields, e.Method)
		fields = append(fields, 0, 0, 0x21, 0)
		fields = le.AppendUint32(fields, e.CRC)
		fields = le.AppendUint32(fields, uint32(len(e.Packed)))
		fields = le.AppendUint32(fields, uint32(e.Size))
		fields = le.AppendUint16(fields, uint16(len(e.Name)))
		fields = append(fields, 0, 0)
		last = append([]byte("PK\x01\x02\x14\x00"), fields...)
		last = append(last, make([]byte, 10)...)
		last = le.AppendUint32(last, uint32(len(body)))
		last = append(last, e.Name...)
		directory = append(directory, last...)
		if e.Method == nowhere {
			continue
		}
		body = append(body, "PK\x03\x04"...)
		body = append(body, fields...)
		body = append(body, e.Name...)
		body = append(body, e.Packed...)
	}
	directory = append(directory, bytes.Repeat(last, copies)...)
	n := uint16(len(entries) + copies)
	end := append([]byte("PK\x05\x06"), 0, 0, 0, 0)
	end = le.AppendUint16(le.AppendUint16(end, n), n)
	end = le.AppendUint32(end, uint32(len(directory)))
	end = le.AppendUint32(end, uint32(len(body)))
	return slices.Concat(body, directory, end, []byte{0, 0})
}

// rawDocx packs a text with more entries.
func rawDocx(tb testing.TB, more ...Entry) []byte {
	tb.Helper()
	var entries []Entry
	for _, p := range OpenXMLParts("word/document.xml", MainType(tb, "docx")) {
		entries = append(entries, Deflated(p[0], p[1]))
	}
	return RawZip(0, append(entries, more...)...)
}

// Blocks returns deflate blocks that define codes and hold up to 258 bytes each: size bytes of the costliest that
// there is.
func Blocks(size int, full bool) []byte {
	w := &bitWriter{}
	for len(w.bytes) < size {
		w.block(full && len(w.bytes) > 32)
	}
	return w.bytes
}

type bitWriter struct {
	bytes []byte
	bits  int
}

func (w *bitWriter) put(value, count int) {
	for i := range count {
		if w.bits%8 == 0 {
			w.bytes = append(w.bytes, 0)
		}
		w.bytes[w.bits/8] |= byte(value >> i & 1 << (w.bits % 8))
		w.bits++
	}
}

// block writes the codes of a block and its end: lengths of 0 for 257 symbols but the last and, if full, the match of
// 258 bytes; one of 1 for a distance. RFC 1951, 3.2.7.
func (w *bitWriter) block(full bool) {
	w.put(0, 1) // not the last
	w.put(2, 2) // dynamic codes
	literals := 257
	if full {
		literals = 286
	}
	w.put(literals-257, 5)
	w.put(0, 5)
	w.put(18-4, 4)
	for i := range 18 { // code lengths for repeated zeros (18) and for 1 alone
		w.put(map[bool]int{true: 1}[i == 2 || i == 17], 3)
	}
	zeros := func(n int) { w.put(1, 1); w.put(n-11, 7) }
	zeros(138)
	zeros(118)
	w.put(0, 1) // the end of the block
	if full {
		zeros(28)
		w.put(0, 1) // 258 bytes
	}
	w.put(0, 1) // the distance
	if full {
		w.put(1, 1)
		w.put(0, 1)
	}
	w.put(0, 1)
}

func hostileEntries(tb testing.TB) map[string][]byte {
	tb.Helper()
	many := func(n int, e Entry) []Entry {
		entries := make([]Entry, n)
		for i := range entries {
			entries[i] = e
			entries[i].Name = fmt.Sprintf("%05d", i)
		}
		return entries
	}
	empty, full := Blocks(160, false), Blocks(160, true)
	inner := RawZip(15_000, Stored("a", "a"))
	deep := RawZip(0, Stored("a", "a"))
	pad := strings.Repeat(string(RandomBytes(30<<10)), 120)
	for i := range 4 {
		deep = RawZip(0, Stored(fmt.Sprintf("%d.zip", i), string(deep)), Stored("pad", pad[:3<<20]))
	}
	names := make([]Entry, 12_000)
	for i := range names {
		names[i] = Entry{Name: fmt.Sprintf("%05d/Index/Document.iwa", i), Method: nowhere}
	}
	long := strings.Repeat("Ä\\", 10_000)
	return map[string][]byte{
		"12,000 documents of Pages":        append([]byte("PK\x03\x04"), RawZip(0, names...)...),
		"8,000 documents of Numbers":       iworkDirectory(),
		"20,000 entries":                   RawZip(19_900, Stored("a", "a")),
		"20,000 entries in packages":       rawDocx(tb, many(40, Deflated("", string(inner)))...),
		"packages in packages":             rawDocx(tb, many(5, Deflated("", string(deep)))...),
		"packages without a directory":     rawDocx(tb, many(100, Deflated("", "PK\x03\x04"+strings.Repeat(" ", 4<<20)))...),
		"packages of signatures":           rawDocx(tb, many(100, Deflated("", "PK\x03\x04"+strings.Repeat("PK\x05\x06", 1<<20)))...),
		"3,000 entries of empty blocks":    rawDocx(tb, many(3000, Entry{Method: 8, Packed: empty, Size: 1000})...),
		"3,000 entries of full blocks":     rawDocx(tb, many(3000, Entry{Method: 8, Packed: full, Size: 1000})...),
		"a package of empty blocks":        rawDocx(tb, Entry{"a.zip", 8, append(Deflate("PK\x03\x04")[:0:0], Blocks(900<<10, false)...), 0, 4 << 20}),
		"types of empty blocks":            RawZip(0, Deflated("_rels/.rels", OpenXMLParts("a", "")[1][1]), Entry{"[Content_Types].xml", 8, Blocks(900<<10, false), 0, 4 << 20}),
		"types of full blocks":             RawZip(0, Deflated("_rels/.rels", OpenXMLParts("a", "")[1][1]), Entry{"[Content_Types].xml", 8, Blocks(900<<10, true), 0, 4 << 20}),
		"overlapping entries":              RawZip(15_000, Deflated("a", strings.Repeat("a", 1<<20))),
		"long names":                       RawZip(30, Entry{Name: long, Method: 8}),
		"entries packed 1000 to one":       rawDocx(tb, many(900, Deflated("", strings.Repeat(" ", 1<<20)))...),
		"entries packed 200 to one":        rawDocx(tb, many(2400, Deflated("", strings.Repeat(string(RandomBytes(130)), 250)))...),
		"images packed 200 to one":         rawDocx(tb, many(1500, Deflated("", "\xff\xd8\xff"+strings.Repeat("\x01", 256<<10)))...),
		"a directory that claims too much": zip64(1 << 40),
	}
}

// iworkDirectory has nothing but a directory, of 8,000 archives that cannot be opened.
func iworkDirectory() []byte {
	var entries []Entry
	for i := range 8000 {
		entries = append(entries, Stored(fmt.Sprintf("%05d/Index/Document.iwa", i), "a"))
	}
	data := RawZip(0, entries...)
	return bytes.ReplaceAll(data, []byte("PK\x03\x04"), []byte("PK\x03\x05"))
}

// zip64 returns a package that claims a number of entries.
func zip64(records uint64) []byte {
	le := binary.LittleEndian
	data := []byte("PK\x03\x04")
	end := append([]byte("PK\x06\x06"), make([]byte, 52)...)
	le.PutUint64(end[4:], 44)
	le.PutUint64(end[24:], records)
	le.PutUint64(end[32:], records)
	le.PutUint64(end[48:], 4)
	locator := append([]byte("PK\x06\x07"), make([]byte, 16)...)
	le.PutUint64(locator[8:], uint64(len(data)))
	le.PutUint32(locator[16:], 1)
	last := append([]byte("PK\x05\x06"), bytes.Repeat([]byte{0xff}, 18)...)
	le.PutUint32(last[4:], 0)
	le.PutUint16(last[20:], 0)
	return slices.Concat(data, end, locator, last)
}

// Zip64 returns the end of a package that claims a number of entries, to be put at the end of size bytes.
func Zip64(records uint64, size int64) []byte {
	tail := zip64(records)
	at := bytes.Index(tail, []byte("PK\x06\x07"))
	binary.LittleEndian.PutUint64(tail[at+8:], uint64(size-int64(len(tail))+4))
	return tail
}

func hostileXML(tb testing.TB) map[string][]byte {
	tb.Helper()
	fill := func(head, unit, tail string, size int) string {
		return head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail
	}
	// Noise in the beginning keeps the ratio below 200 to one.
	noise := fmt.Sprintf("<!--%x-->", RandomBytes(170))
	declares := `<?xml version="1.0"?>` + noise + "<!DOCTYPE a ["
	prologs := map[string]string{
		"entities declared again":      fill(declares, `<!ENTITY a "">`, "]><a/>", 64<<10),
		"entities that refer":          fill(declares+`<!ENTITY a "`, "&b;", `">]><a/>`, 64<<10),
		"entities with references":     fill(declares+`<!ENTITY a "`, "&#38;", `">]><a/>`, 64<<10),
		"entities with zeros":          fill(declares+`<!ENTITY a "`, "&#0", `">]><a/>`, 64<<10),
		"entities without end":         fill(declares, `<!ENTITY a '"`, "", 64<<10),
		"comments without end":         fill("<!--", "--<!--", "", 64<<10),
		"instructions":                 fill(noise, "<?a?>", "", 64<<10),
		"entities in UTF-16":           UTF16LE(fill("<!DOCTYPE a [", `<!ENTITY a "">`, "]><a/>", 30<<10)),
		"brackets":                     fill(declares, "]", "", 64<<10),
		"blanks before a declaration":  fill(" ", " ", "<!DOCTYPE a [<!ENTITY a 'a'>]>", 64<<10),
		"images with long declaration": fill("\x89PNG\r\n\x1a\n", "\x00\x00\x00\x00abcd1234", "", 64<<10),
	}
	all := map[string][]byte{}
	for does, text := range prologs {
		e := Deflated("", text)
		var entries []Entry
		for i := range min(18_000, (maxHostile-2000)/(len(e.Packed)+110)) {
			e.Name = fmt.Sprintf("%05d.xml", i)
			entries = append(entries, e)
		}
		inner := entries[:min(len(entries), 8000)]
		all["entries of "+does] = rawDocx(tb, entries...)
		all["packed entries of "+does] = rawDocx(tb, Deflated("a.zip", string(RawZip(0, inner...))), Deflated("b.zip", string(RawZip(0, inner...))))
		all[does] = []byte(fill(text[:len(text)/2], text[len(text)/2:], "", 900<<10))
	}
	for does, text := range map[string]string{
		"short tags":       fill("<a>", "<a/>", "</a>", 4<<20-10),
		"tags in tags":     fill("", "<a>", "", 4<<20-10),
		"defaults":         fill("<a>", `<Default Extension="a"/>`, "", 4<<20-10),
		"overrides":        fill("<a>", `<Override PartName="/b"/>`, "", 4<<20-10),
		"relationships":    fill("<a>", `<Relationship Type="b"/>`, "", 2<<20-10),
		"entries of files": fill("<a>", `<file-entry full-path="b"/>`, "", 4<<20-10),
		"attributes":       fill("<a>", `<Override `+strings.Repeat("a='b' ", 30_000)+"/>", "", 4<<20-10),
		"escapes":          fill("<a>", `<Override PartName="`+strings.Repeat("&amp;&", 10_000)+`"/>`, "", 4<<20-10),
		"brackets in tags": fill("<a>", "<a b='>' c='>'/>", "", 4<<20-10),
		"quotes":           fill("<a>", `<a '"'"'"'"'"/>`, "", 4<<20-10),
		"open tags":        fill("<a>", "<", "", 4<<20-10),
		"blanks":           fill("<a>", " ", "</a>", 4<<20-10),
	} {
		relations := Deflated("_rels/.rels", OpenXMLParts("a", "")[1][1])
		short, types := Deflated("_rels/.rels", text[:min(len(text), 2<<20)]), Deflated("[Content_Types].xml", text)
		manifest := types
		manifest.Name = "META-INF/manifest.xml"
		all["types with "+does] = RawZip(0, relations, types)
		all["relationships with "+does] = RawZip(0, short, types)
		all["a manifest with "+does] = RawZip(0, short, manifest)
		all["flat XML with "+does] = []byte(text[:min(len(text), 900<<10)])
	}
	return all
}

// hostileTags returns packages whose tags are long.
func hostileTags() map[string][]byte {
	all := map[string][]byte{}
	for does, unit := range map[string]string{
		"attributes": "=''", "attributes in double quotes": `=""`, "attributes with names": " a='b'", "quotes": `""`,
		"ampersands": "&a", "ampersands with letters": "&abcdef", "ampersands of entities": "&notit;",
	} {
		all["three parts with tags of 12 kB of "+does] = longTags(unit, 12_000)
		all["three parts with tags of 200 kB of "+does] = longTags(unit, 200_000)
	}
	return all
}

// longTags returns a package of three parts whose tags repeat a unit up to a length, before the attributes that are
// searched for, or in them. The last relationship is the good one.
func longTags(unit string, length int) []byte {
	part := func(tag, last string, size int) string {
		repeated := strings.Repeat(unit, length/len(unit))
		tag = strings.ReplaceAll(tag, "{}", repeated)
		return strings.Repeat(tag, (size-200)/len(tag)) + last
	}
	manifest, relationship := "<file-entry '' {} full-path='/'/></file-entry {}>", "<Relationship '' {} Type='/officeDocument'/>"
	types := "<Override '' {} PartName='/word/document.xml'/><!X '' {}>"
	if unit[0] == '&' {
		manifest, relationship = "<file-entry '' full-path='{}'/>", "<Relationship '' Type='{}'/>"
		types = "<Override '' PartName='{}'/>"
	}
	return RawZip(
		0,
		Deflated("META-INF/manifest.xml", part(manifest, "", 4<<20)),
		Deflated("_rels/.rels", part(
			relationship, `<Relationship Type="/officeDocument" Target="word/document.xml"/>`, 2<<20,
		)),
		Deflated("[Content_Types].xml", part(types, "", 4<<20)),
	)
}

func hostileImages(tb testing.TB) map[string][]byte {
	tb.Helper()
	// The first directory of this image is 4 GiB away.
	far := "II*\x00\xf0\xff\xff\xff"
	// This one has 65,535 fields.
	fields := "II*\x00\x08\x00\x00\x00\xff\xff" + strings.Repeat("\x00\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00", 65_535)
	chunks := "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x03\x00\x00\x00\x28\xcb\x34\xbb" +
		strings.Repeat("\x00\x00\x00\x00teSt\x00\x00\x00\x00", 60_000)
	markers := "\xff\xd8" + strings.Repeat("\xff\xfe\x00\x02", 200_000)
	garbage := "\xff\xd8\xff" + strings.Repeat("\x01", 900<<10)
	riff := "RIFF\xff\xff\x0f\x00WEBP" + strings.Repeat("ABCD\x00\x00\x00\x00", 100_000)
	gif := "GIF89a\x01\x00\x01\x00\xf7\x00\x00" + strings.Repeat("\x21\xfe\x01a\x00", 150_000)
	all := map[string][]byte{}
	for does, image := range map[string]string{
		"a TIFF from afar": far, "a TIFF of fields": fields, "a PNG of chunks": chunks, "a JPEG of markers": markers,
		"a JPEG of garbage": garbage, "a WebP of chunks": riff, "a GIF of comments": gif,
	} {
		all[does] = []byte(image)
		for kind, e := range map[string]Entry{
			"stored": Stored("", image[:min(len(image), 20)]), "packed": Deflated("", image[:min(len(image), 256<<10)]),
			"half packed": Deflated("", image[:min(len(image), 64<<10)]+string(RandomBytes(700))),
		} {
			var entries []Entry
			for i := range min(9000, (maxHostile-2000)/(len(e.Packed)+100)) {
				e.Name = fmt.Sprintf("%05d", i)
				entries = append(entries, e)
			}
			all["entries, "+kind+", of "+does] = rawDocx(tb, entries...)
		}
	}
	return all
}

func hostileCompounds() map[string][]byte {
	le := binary.LittleEndian
	agile := func(spins string) []byte {
		return Compound(Stream{Name: "EncryptionInfo", Data: "\x04\x00\x04\x00\x40\x00\x00\x00<e>" + strings.Repeat(
			`<encryptedKey spinCount="`+spins+`" hashSize="64" keyBits="256" cipherAlgorithm="AES" `+
				`cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512" saltValue="YQ==" `+
				`encryptedVerifierHashInput="YQ==" encryptedVerifierHashValue="YQ=="/>`, 10)}, Stream{Name: "EncryptedPackage"})
	}
	standard := append([]byte("\x04\x00\x02\x00\x24\x00\x00\x00"), make([]byte, 4000)...)
	le.PutUint32(standard[8:], 40)
	le.PutUint32(standard[8+4+16:], 128)
	le.PutUint32(standard[8+4+40:], 16)
	all := map[string][]byte{
		"a password of 10,000,000 rounds":  agile("10000000"),
		"a password of 100,000 rounds":     agile("100000"),
		"a password as in Office 2007":     Compound(Stream{Name: "EncryptionInfo", Data: string(standard)}, Stream{Name: "EncryptedPackage"}),
		"a chain of sectors in a circle":   chained(func(i int) int { return (i + 1) % 100 }, 0),
		"a chain of all sectors":           chained(func(i int) int { return i + 1 }, 0),
		"a chain that jumps":               chained(func(i int) int { return (i*1031 + 17) % 1900 }, 0),
		"streams at the end of a chain":    chained(func(i int) int { return i + 1 }, 4095),
		"streams at the end of a circle":   chained(func(i int) int { return (i*1031 + 17) % 1900 }, 4095),
		"a directory that runs in circles": chained(func(i int) int { return i }, 0),
		"pieces at both ends of a circle":  append(Alternating(maxHostile), make([]byte, maxHostile-5*largeSector)...),
	}
	return all
}

// largeSector is the size of a sector in version 4 of compound files.
const largeSector = 4096

// Alternating returns the beginning of a workbook of size bytes, the rest of which is zeros. Its mini stream is a chain
// of one sector that follows itself, and the pieces of the workbook's stream are by turns at the beginning and at the
// end of that chain, so that each pair of them takes a walk along as many sectors as the file has.
func Alternating(size int64) []byte {
	le := binary.LittleEndian
	const table, directory, miniTable, mini = 0, 1, 2, 3
	small := Compound(Stream{Name: "Workbook", Data: "a"})
	data := make([]byte, 5*largeSector)
	sector := func(i int) []byte { return data[(i+1)*largeSector:] }
	copy(data, small[:headerSize])
	le.PutUint16(data[26:], 4)
	le.PutUint16(data[30:], 12)
	le.PutUint32(data[48:], directory)
	le.PutUint32(data[60:], miniTable)
	le.PutUint32(data[76:], table)
	for i, next := range []uint32{table: 0xFFFFFFFD, directory: endOfChain, miniTable: miniTable, mini: mini} {
		le.PutUint32(sector(table)[4*i:], next)
	}
	last := uint32(size/largeSector-2)*(largeSector/miniSectorSize) + 1
	copy(sector(directory), small[2*sectorSize:2*sectorSize+4*entrySize])
	le.PutUint32(sector(directory)[116:], mini)
	workbook := sector(directory)[2*entrySize:]
	le.PutUint32(workbook[116:], last)
	le.PutUint32(workbook[120:], miniStreamCutoff-1)
	le.PutUint32(sector(miniTable), last)
	le.PutUint32(sector(miniTable)[4*last%largeSector:], 0)
	return data
}

// chained returns a compound file of 2000 sectors whose allocation table says what comes after each of them. All
// streams begin at a sector, or, if size is below 4096, at piece 100,000 of the mini stream.
func chained(next func(int) int, size int) []byte {
	const sectors = 2000
	le := binary.LittleEndian
	small := Compound(
		Stream{Name: "WordDocument", Data: strings.Repeat("a", 5000)}, Stream{Name: "Workbook", Data: strings.Repeat("a", 5000)},
		Stream{Name: "CONTENTS", Data: strings.Repeat("a", 5000)}, Stream{Name: "Current User", Data: strings.Repeat("a", 5000)},
	)
	data := make([]byte, (sectors+1)*sectorSize)
	copy(data, small[:headerSize])
	table := (sectors*4 + sectorSize - 1) / sectorSize
	for i := range table {
		le.PutUint32(data[76+4*i:], uint32(sectors-table+i))
	}
	for i := range sectors {
		le.PutUint32(data[(sectors-table+1)*sectorSize+4*i:], uint32(next(i)))
	}
	for at := headerSize; at < (sectors-table)*sectorSize; at += 2 * sectorSize { // directories wherever the chain leads
		copy(data[at:], small[2*sectorSize:4*sectorSize])
		for entry := at; entry < at+2*sectorSize && size > 0; entry += entrySize {
			le.PutUint32(data[entry+116:], 100_000)
			le.PutUint32(data[entry+120:], uint32(size))
		}
		le.PutUint32(data[at+116:], 0)
	}
	le.PutUint32(data[48:], 0)
	le.PutUint32(data[60:], 0)
	return data
}

func hostileTexts() map[string][]byte {
	all := map[string][]byte{}
	for does, unit := range map[string]string{
		"rich text": `{\rtf1\f`, "HTML": "<html><a ", "text": "a ", "quotes": `"`, "brackets": "[[[{", "lines": "\n",
		"commas": "a,b;", "comments": "<!--", "zeros": "\x00", "old characters": "\xe9\xe8", "letters": "é",
		"UTF-16": "\xff\xfea\x00", "metafiles": "\x01\x00\x00\x00\xd7\xcd\xc6\x9a", "mail": "From: a\nMIME-Version: 1.0\n",
	} {
		all["a flood of "+does] = []byte(strings.Repeat(unit, maxHostile/len(unit)))
	}
	return all
}
