// Package preflight extracts what affects, or is missing from, a document's conversion: fonts, external links and macros.
//
// It reads hostile input while the document is being converted: how much is read, decompressed and remembered is bounded,
// entities are never expanded and nothing is fetched. Whatever cannot be read is omitted; a scan never fails.
package preflight

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/document"
)

const (
	maxFonts = 100
	// maxFontName is the length of the longest name that is taken for one, in characters. Windows allows 31.
	maxFontName = 64
	maxLinks    = 20
	// maxLinkLength is in characters.
	maxLinkLength = 256
	// maxDistinct bounds the memory of what is told apart.
	maxDistinct = 2000
)

// Findings are what a document names.
type Findings struct {
	// Fonts are in the order of their names: at most 100.
	Fonts []Font
	// Links are the addresses that it wants fetched, each once, without users' names and passwords, of at most 256 characters:
	// the first 20 of LinksTotal. Hyperlinks are not among them.
	Links      []string
	LinksTotal int
	// Macros says that there are some.
	Macros bool
}

// Font is a family that a document names.
type Font struct {
	Name string
	// Embedded says that the document brings it along.
	Embedded bool
	// Secondary says that it is only named for Asian or complex scripts, or for bullets. Most documents name fonts for such, and
	// have nothing in them.
	Secondary bool
}

// Scan scans a document of size bytes. It returns early, with what it has found, when ctx is done.
func Scan(ctx context.Context, r io.ReaderAt, size int64, format document.Format) Findings {
	f := &finder{over: func() bool { return ctx.Err() != nil }, budget: maxInflated, buffer: make([]byte, maxTag), fonts: map[string]*Font{}, written: map[string]*Font{}, links: map[string]bool{}}
	head := make([]byte, min(size, 512))
	if n, err := r.ReadAt(head, 0); n < len(head) && err != nil {
		return Findings{}
	}
	switch start := bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")); {
	case bytes.HasPrefix(head, []byte("PK")):
		f.archive(r, size)
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0")):
		f.compound(r, size)
	case bytes.HasPrefix(start, []byte(`{\rtf`)):
		f.rtf(io.NewSectionReader(r, 0, size))
	case format.ID == "html":
		f.html(io.NewSectionReader(r, 0, size))
	case bytes.HasPrefix(bytes.TrimSpace(start), []byte("<")) && format.ID != "txt" && format.ID != "csv":
		f.flatODF(io.NewSectionReader(r, 0, size))
	}
	return f.findings()
}

// finder collects what is found.
type finder struct {
	// over says that nobody waits any more.
	over func() bool
	// budget is how many bytes may still be inflated or parsed.
	budget int64
	// buffer has room for the longest tag.
	buffer []byte

	// fonts are by their names in lower case.
	fonts map[string]*Font
	// written are the same by what documents wrote: most of them repeat themselves a thousand times.
	written map[string]*Font
	// links are those known, which may be more than those kept.
	links  map[string]bool
	kept   []string
	macros bool
}

// script tells what a font is named for: text in Western scripts, or others and bullets.
type script bool

const (
	western script = false
	other   script = true
)

// font takes a name. LibreOffice and CSS separate alternatives; the first is what was wanted.
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

// fontIn takes the value of an attribute.
func (f *finder) fontIn(value []byte, of script) {
	known, found := f.written[string(value)]
	if !found {
		known = f.font(plain(value), of)
		if len(f.written) < maxDistinct {
			f.written[string(value)] = known
		}
	}
	known.Secondary = known.Secondary && bool(of)
}

// link takes an address that would be fetched.
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
	found := Findings{Links: f.kept, LinksTotal: len(f.links), Macros: f.macros}
	for _, key := range slices.Sorted(maps.Keys(f.fonts)) {
		found.Fonts = append(found.Fonts, *f.fonts[key])
	}
	if len(found.Fonts) > maxFonts {
		// What Western text is set in comes first when not all can be told.
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

// clean leaves out what no message can carry and no line of text should.
func clean(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
}

// withoutUser leaves out a user's name and password: what is between the scheme or the slashes and the last @ of the
// authority. Back slashes count as slashes, as they do for those who follow such addresses.
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
