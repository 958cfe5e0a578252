// Package preflight extracts what affects, or is missing from, a document's conversion: fonts, external links and
// macros.
//
// It reads hostile input while the document is being converted: how much is read, decompressed and remembered is
// bounded, entities are never expanded and nothing is fetched. Whatever cannot be read is omitted; a scan never fails.
package preflight

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/officefile"
)

const (
	maxFonts = 100
	// maxFontName is the length of the longest accepted font name, in characters. Windows allows 31.
	maxFontName = 64
	maxLinks    = 20
	// maxLinkLength is in characters.
	maxLinkLength = 256
	// maxDistinct bounds the memory for distinct names.
	maxDistinct = 2000
	// maxScanned bounds the bytes of a document that are scanned: a tenth of a second, or half of one for nothing but
	// tags. A novel has 5 MiB.
	maxScanned = 32 << 20
	// maxPart bounds the bytes of one part that are scanned.
	maxPart = 16 << 20
	// maxUnits bounds the work of reading containers to about 4 s: 20 MiB of packed parts at their worst.
	maxUnits = 400_000_000
)

// Findings are what a document refers to.
type Findings struct {
	// Fonts are sorted by name: at most 100.
	Fonts []Font
	// Links are the addresses that the document would fetch, each once, without user names and passwords, of at most
	// 256 characters: the first 20 of LinksTotal. Hyperlinks are not among them.
	Links      []string
	LinksTotal int
	// Macros reports whether the document has macros.
	Macros bool
	// Characters are those of the document's text that fonts may lack, each once, in the order of their numbers. They are not
	// known for the binary formats of Office.
	Characters []rune
}

// Font is a font family that a document refers to.
type Font struct {
	Name string
	// Embedded reports whether the document contains the font.
	Embedded bool
	// Secondary reports whether the font is named only for Asian or complex scripts, or for bullets. Most documents
	// name fonts for those and have no such text.
	Secondary bool
}

// Scan scans a document of size bytes. It returns early, with what it has found, when ctx is done.
func Scan(ctx context.Context, r io.ReaderAt, size int64, kind format.Format) Findings {
	f := &finder{
		budget: officefile.NewBudget(ctx, maxUnits), left: maxScanned,
		fonts: map[string]*Font{}, written: map[string]*Font{}, links: map[string]bool{}, characters: characters{},
	}
	head := make([]byte, min(size, 512))
	if n, err := r.ReadAt(head, 0); n < len(head) && err != nil {
		return Findings{}
	}
	all := io.NewSectionReader(r, 0, size)
	switch start := bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")); {
	case officefile.IsPackage(head):
		f.archive(r, size)
	case officefile.IsCompound(head):
		f.compound(r, size)
	case bytes.HasPrefix(start, []byte(`{\rtf`)):
		f.rtf(all)
	case kind.ID == "html":
		f.html(all)
	case kind.ID == "txt", kind.ID == "csv":
		f.characters.addPlain(all)
	case bytes.HasPrefix(bytes.TrimSpace(start), []byte("<")):
		f.flatODF(all)
	}
	return f.findings()
}

// finder collects what is found.
type finder struct {
	// budget bounds the work of reading containers, and ends with the context.
	budget *officefile.Budget
	// left is how many bytes may still be scanned.
	left int64

	// fonts has the fonts by their names in lower case.
	fonts map[string]*Font
	// written are the same fonts by their names as written: most documents repeat them a thousand times.
	written map[string]*Font
	// links are all known ones, which may be more than those kept.
	links  map[string]bool
	kept   []string
	macros bool

	characters characters
}

// scan visits the tags of an XML stream until its end, until it is no longer XML, or until the limits.
func (f *finder) scan(r io.Reader, visit func(officefile.Tag)) {
	f.limited(r, func(limited io.Reader) error {
		return officefile.ScanTags(limited, f.budget, func(t officefile.Tag) bool {
			visit(t)
			return true
		})
	})
}

// scanShown is like scan, and also records the characters of the text between the tags.
func (f *finder) scanShown(r io.Reader, visit func(officefile.Tag)) {
	buffered := bufio.NewReader(r)
	if head, _ := buffered.Peek(16); !bytes.HasPrefix(bytes.TrimLeft(head, "\xef\xbb\xbf\xff\xfe\x00 \t\r\n"), []byte("<")) {
		return // encrypted
	}
	r = buffered
	visitTag, visitText := f.shownText(visit)
	f.limited(r, func(limited io.Reader) error {
		return officefile.ScanTagsAndText(limited, f.budget,
			func(t officefile.Tag) bool { visitTag(t); return true },
			func(text []byte) bool { visitText(text); return true })
	})
}

// limited calls scan with as much of a reader as may be read. What cannot be read is omitted.
func (f *finder) limited(r io.Reader, scan func(io.Reader) error) {
	limited := &io.LimitedReader{R: r, N: min(maxPart, f.left)}
	whole := limited.N
	_ = scan(limited)
	f.left -= whole - limited.N
}

// script is what a font is named for: text in Western scripts, or other scripts and bullets.
type script bool

const (
	western script = false
	other   script = true
)

// font adds a name. LibreOffice and CSS separate alternatives; the first one is what the author wanted.
func (f *finder) font(name string, of script) *Font {
	if i := strings.IndexAny(name, ";,"); i >= 0 {
		name = name[:i]
	}
	name = clean(strings.Trim(strings.TrimSpace(name), `'"`))
	key := strings.ToLower(name)
	if name == "" || utf8.RuneCountInString(name) > maxFontName {
		return &Font{}
	}
	known, found := f.fonts[key]
	if !found {
		known = &Font{Name: name, Secondary: bool(of)}
		if len(f.fonts) < maxDistinct {
			f.fonts[key] = known
		}
	}
	known.Secondary = known.Secondary && bool(of)
	return known
}

// fontIn adds the value of an attribute.
func (f *finder) fontIn(value []byte, of script) {
	known, found := f.written[string(value)]
	if !found {
		known = f.font(officefile.Unescape(value), of)
		if len(f.written) < maxDistinct {
			f.written[string(value)] = known
		}
	}
	known.Secondary = known.Secondary && bool(of)
}

// link adds an address that would be fetched.
func (f *finder) link(address string) {
	address = withoutUser(clean(address))
	if utf8.RuneCountInString(address) > maxLinkLength {
		address = string([]rune(address)[:maxLinkLength-1]) + "…"
	}
	if address == "" || f.links[address] || len(f.links) >= maxDistinct {
		return
	}
	f.links[address] = true
	if len(f.kept) < maxLinks {
		f.kept = append(f.kept, address)
	}
}

func (f *finder) findings() Findings {
	found := Findings{Links: f.kept, LinksTotal: len(f.links), Macros: f.macros, Characters: f.characters.sorted()}
	for _, key := range slices.Sorted(maps.Keys(f.fonts)) {
		found.Fonts = append(found.Fonts, *f.fonts[key])
	}
	if len(found.Fonts) > maxFonts {
		// Fonts of Western text come first when not all can be listed.
		slices.SortStableFunc(found.Fonts, func(a, b Font) int { return cmp.Compare(rank(a), rank(b)) })
		found.Fonts = found.Fonts[:maxFonts]
		slices.SortFunc(found.Fonts, func(a, b Font) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	}
	return found
}

func rank(f Font) int {
	if f.Secondary {
		return 1
	}
	return 0
}

// clean removes what a message cannot carry and a line of text should not.
func clean(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
}

// withoutUser removes the user name and password of an address: what is between the scheme or the slashes and the last
// @ of the authority. Backslashes count as slashes, as they do for programs that follow such addresses.
func withoutUser(address string) string {
	scheme := strings.IndexByte(address, ':')
	if scheme < 2 || strings.ContainsAny(address[:scheme], `/\?#@`) { // none, or the letter of a drive
		scheme = -1
	}
	start := scheme + 1
	for start < len(address) && (address[start] == '/' || address[start] == '\\') {
		start++
	}
	if scheme < 0 && start < 2 || strings.EqualFold(address[:start], "file:///") { // a path: it has no authority
		return address
	}
	end := len(address)
	if i := strings.IndexAny(address[start:], `/\?#`); i >= 0 {
		end = start + i
	}
	if at := strings.LastIndexByte(address[start:end], '@'); at >= 0 {
		return address[:start] + address[start+at+1:]
	}
	return address
}
