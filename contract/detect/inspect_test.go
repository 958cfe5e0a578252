package detect

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/docmill/docmill/contract/format"
)

// strict are limits that small documents break.
func strict() Limits {
	return Limits{Entries: 20, Growth: 4 << 20, Packed: 1 << 20, Ratio: 200, Depth: 2, Pixels: 10_000, Entity: 100}
}

// deckOf packs a deck with more parts.
func deckOf(tb testing.TB, more ...part) []byte {
	tb.Helper()
	return zipOf(tb, append(openXMLParts("main.xml", mainTypeOf(tb, "pptx")), more...)...)
}

func TestInspect(t *testing.T) {
	t.Parallel()

	spaces := strings.Repeat(" ", 2<<20)
	square, large := image.NewGray(image.Rect(0, 0, 100, 100)), image.NewGray(image.Rect(0, 0, 101, 100))
	const declares = `<?xml version="1.0"?><!DOCTYPE a [`
	const grows = declares + `<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c '&b;&b;&b;&b;'>]>`
	const growing = grows + "<a>&c;</a>"
	for _, c := range []struct {
		does string
		data []byte
		ok   bool
	}{
		{"a part that is packed 1000 to one", deckOf(t, part{"a.xml", spaces}), false},
		{"several that make it together", deckOf(t, part{"a.xml", spaces[:600<<10]}, part{"b.xml", spaces[:600<<10]}), false},
		{"beside much that is not packed", deckOf(t, part{"a.xml", spaces}, part{"b", string(randomBytes(1 << 20))}), false},
		{"a white bitmap", deckOf(t, part{"a.bmp", string(whiteBitmap()) + spaces}), true},
		{"a part that is packed well", deckOf(t, part{"a.xml", grown()}), true},
		{"20 files", deckOf(t, files(18)...), true},
		{"21 files", deckOf(t, files(19)...), false},
		{"a package of many files in a package", deckOf(t, part{"a.docx", string(zipOf(t, files(18)...))}), false},
		{"a bomb in a package in a package", deckOf(t, nest(t, 2, part{"a", spaces})), false},
		{"a package in a package in a package", deckOf(t, nest(t, 2, part{"a", "a"})), true},
		{"a package one deeper", deckOf(t, nest(t, 3, part{"a", "a"})), false},
		{"half a package in a package", deckOf(t, part{"a.zip", string(zipOf(t, files(30)...)[:200])}), true},
		{"files that lie over each other", overlapping(t), false},
		{"more than 4 MiB", deckOf(t, part{"a", grown()}, part{"b", grown()}, part{"c", grown()}), false},
		{"less than 4 MiB", deckOf(t, part{"a", grown()}, part{"b", grown()}), true},

		{"a PNG", deckOf(t, encoded(t, png.Encode, square)), true},
		{"a large PNG", deckOf(t, encoded(t, png.Encode, large)), false},
		{"a large JPEG", deckOf(t, encoded(t, jpegEncode, large)), false},
		{"a large JPEG with much before its size", deckOf(t, part{"a.jpg", longJPEG(t, large)}), false},
		{"a large GIF", deckOf(t, encoded(t, gifEncode, large)), false},
		{"a large BMP", deckOf(t, encoded(t, bmp.Encode, large)), false},
		{"a large TIFF", deckOf(t, encoded(t, tiffEncode, large)), false},
		{"a large WebP", deckOf(t, part{"a.webp", webpOf(101, 100)}), false},
		{"a WebP", deckOf(t, part{"a.webp", webpOf(100, 100)}), true},
		{"a large PNG in an embedded package", deckOf(t, nest(t, 1, encoded(t, png.Encode, large))), false},
		{"a broken PNG", deckOf(t, part{"a.png", "\x89PNG\r\n\x1a\n????????????"}), true},

		{"entities in entities", deckOf(t, part{"a.xml", growing}), false},
		{"entities in entities in UTF-16", deckOf(t, part{"a.xml", utf16LE(growing)}), false},
		{"entities behind a comment", deckOf(t, part{"a.xml", strings.Replace(growing, "<!D", "<!-- <a> "+spaces[:1000]+"--><!D", 1)}), false},
		{"entities behind an instruction", deckOf(t, part{"a.xml", strings.Replace(growing, "<!D", "<?a <a> "+spaces[:1000]+"?><!D", 1)}), false},
		{"an entity in itself", deckOf(t, part{"a.xml", declares + `<!ENTITY a "&b;"><!ENTITY b "&a;">]><a>&a;</a>`}), false},
		{"a hidden reference", deckOf(t, part{"a.xml", declares + `<!ENTITY a "` + spaces[:60] + `"><!ENTITY b "&#x26;a;&#38;a;">]><a/>`}), false},
		{"parameters in parameters", deckOf(t, part{"a.xml", declares + `<!ENTITY % a "` + spaces[:60] + `"><!ENTITY % b "%a;%a;">]><a/>`}), false},
		{"a long entity", deckOf(t, part{"a.xml", declares + `<!ENTITY a "` + spaces[:101] + `">]><a>&a;&a;&a;</a>`}), false},
		{"an entity beyond what is read", deckOf(t, part{"a.xml", declares + `<!ENTITY a "` + spaces[:100<<10] + `">]><a>&a;</a>`}), false},
		{"entities as Illustrator writes them", deckOf(t, part{"a.svg", illustrator}), true},
		{"an entity of the outside", deckOf(t, part{"a.xml", declares + `<!ENTITY a SYSTEM "file:///etc/passwd">]><a>&a;</a>`}), true},
		{"a page on entities", deckOf(t, part{"a.html", `<!DOCTYPE html><pre><!ENTITY a "&b;"> and <!ENTITY b "&a;"> [x]></pre>`}), true},
		{"a document type with brackets in its name", deckOf(t, part{"a.xml", strings.Replace(growing, "<!DOCTYPE a [", `<!DOCTYPE a SYSTEM ">[" [`, 1)}), false},
		{"a document type without entities", deckOf(t, part{"a.svg", `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"><svg/>`}), true},

		{"entities in a flat text", slices.Concat([]byte(grows), flat(format.OpenDocument + "text")[38:]), false},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			_, err := strict().Detect(t.Context(), bytes.NewReader(c.data), int64(len(c.data)), "")
			if c.ok {
				require.NoError(t, err)
				return
			}
			requireReason(t, TooComplex, err)
		})
	}
}

// TestInspectionReadsLittle: of a large package only what is packed best is looked at.
func TestInspectionReadsLittle(t *testing.T) {
	t.Parallel()

	var parts []part
	for i := range 40 {
		parts = append(parts, part{fmt.Sprintf("%d.bin", i), string(randomBytes(100 << 10))})
	}
	limits := strict()
	limits.Entries = 100
	hidden := encoded(t, png.Encode, image.NewGray(image.Rect(0, 0, 1000, 1000)))
	data := deckOf(t, slices.Insert(slices.Clone(parts), 20, hidden)...)
	c := &counter{ReaderAt: bytes.NewReader(data)}
	_, err := limits.Detect(t.Context(), c, int64(len(data)), "deck.pptx")
	requireReason(t, TooComplex, err)
	require.EqualValues(t, 3, c.Reads.Load(), "the head, the tail and the image")

	data = deckOf(t, parts...)
	c = &counter{ReaderAt: bytes.NewReader(data)}
	_, err = limits.Detect(t.Context(), c, int64(len(data)), "deck.pptx")
	require.NoError(t, err)
	require.EqualValues(t, 2+inspectFetches, c.Reads.Load())
}

func TestNoLimits(t *testing.T) {
	t.Parallel()
	data := deckOf(t, nest(t, 5, part{"a", strings.Repeat(" ", 100<<10)}), encoded(t, png.Encode, image.NewGray(image.Rect(0, 0, 200, 200))),
		part{"a.xml", `<!DOCTYPE a [<!ENTITY a "&a;">]><a/>`})
	_, err := Limits{}.Detect(t.Context(), bytes.NewReader(data), int64(len(data)), "deck.pptx")
	require.NoError(t, err)
}

func files(n int) []part {
	parts := make([]part, n)
	for i := range parts {
		parts[i] = part{fmt.Sprint(i), "a"}
	}
	return parts
}

// nest packs a part into a package, and that into another one.
func nest(tb testing.TB, depth int, inner part) part {
	tb.Helper()
	for range depth {
		inner = part{"inner.zip", string(zipOf(tb, inner))}
	}
	return inner
}

// grown is 1.4 MiB that come to about 20 KiB, 70 to one.
func grown() string { return strings.Repeat(string(randomBytes(20<<10)), 70) }

// whiteBitmap is the head of a bitmap of 1000 by 1 pixels.
func whiteBitmap() []byte {
	head := make([]byte, 54)
	copy(head, "BM")
	head[10], head[14], head[26], head[28] = 54, 40, 1, 24
	binary.LittleEndian.PutUint32(head[18:], 1000)
	binary.LittleEndian.PutUint32(head[22:], 1)
	return head
}

// overlapping returns a deck whose directory lists its largest file ten times, as zip bombs do that are not packed in
// themselves.
func overlapping(t *testing.T) []byte {
	t.Helper()
	data := deckOf(t, part{"z", string(randomBytes(4 << 10))})
	end := bytes.LastIndex(data, []byte("PK\x05\x06"))
	entry := data[bytes.LastIndex(data, []byte("PK\x01\x02")):end]
	longer := slices.Concat(data[:end], bytes.Repeat(entry, 9), data[end:])
	count, tail := binary.LittleEndian.Uint16(data[end+10:])+9, longer[len(longer)-22:]
	binary.LittleEndian.PutUint16(tail[8:], count)
	binary.LittleEndian.PutUint16(tail[10:], count)
	binary.LittleEndian.PutUint32(tail[12:], binary.LittleEndian.Uint32(tail[12:])+uint32(9*len(entry)))
	_, err := zip.NewReader(bytes.NewReader(longer), int64(len(longer)))
	require.NoError(t, err)
	return longer
}

func encoded(tb testing.TB, encode func(io.Writer, image.Image) error, m image.Image) part {
	tb.Helper()
	var out bytes.Buffer
	require.NoError(tb, encode(&out, m))
	return part{"image", out.String()}
}

func jpegEncode(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) }
func gifEncode(w io.Writer, m image.Image) error {
	paletted := image.NewPaletted(m.Bounds(), color.Palette{color.White})
	return gif.Encode(w, paletted, nil)
}
func tiffEncode(w io.Writer, m image.Image) error { return tiff.Encode(w, m, nil) }

// longJPEG puts 120 KiB of metadata before the size.
func longJPEG(t *testing.T, m image.Image) string {
	t.Helper()
	text := encoded(t, jpegEncode, m)[1]
	segment := "\xff\xe1\xf0\x00" + string(bytes.Repeat([]byte("x"), 0xf000-2))
	return text[:2] + segment + segment + text[2:]
}

// webpOf returns the head of a lossless WebP.
func webpOf(width, height uint32) string {
	chunk := append([]byte("VP8L\x05\x00\x00\x00\x2f"), make([]byte, 5)...)
	binary.LittleEndian.PutUint32(chunk[9:], (width-1)|(height-1)<<14)
	size := binary.LittleEndian.AppendUint32(nil, uint32(4+len(chunk)))
	return "RIFF" + string(size) + "WEBP" + string(chunk)
}

// illustrator is how Adobe Illustrator begins an SVG image.
const illustrator = `<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [
	<!ENTITY ns_extend "http://ns.adobe.com/Extensibility/1.0/">
	<!ENTITY ns_svg "http://www.w3.org/2000/svg">
	<!ENTITY ns_xlink "http://www.w3.org/1999/xlink">
]>
<svg version="1.1" xmlns="&ns_svg;" xmlns:xlink="&ns_xlink;" width="10" height="10"><rect width="10" height="10"/></svg>`
