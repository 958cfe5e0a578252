package officefile

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// tagsOf returns the names of the elements, each with its attributes.
func tagsOf(tb testing.TB, text string) (tags []string, err error) {
	tb.Helper()
	err = ScanTags(strings.NewReader(text), NewBudget(tb.Context(), 1<<30), func(t Tag) bool {
		line := string(t.Name())
		t.Attributes(func(name, value []byte) { line += " " + string(name) + "=" + Unescape(value) })
		tags = append(tags, line)
		return true
	})
	return tags, err
}

func TestScanTags(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100<<10)
	for text, want := range map[string][]string{
		"":                          nil,
		"text":                      nil,
		"<a/>":                      {"a"},
		"<?xml version='1.0'?><a>b": {"a"},
		"<n:a m:b='1' c = \"&lt;2\"\n/><!-- <x> --><![CDATA[<y>]]></a><b>": {"a b=1 c=<2", "b"},
		`<a b='>"' c=">'">`:                  {`a b=>" c=>'`},
		"<a b>":                              {"a"},
		"<a b=1>":                            {"a"},
		"<a b='" + long + "'/><c/>":          {"a b=" + long, "c"},
		utf16LE("<a b='ü'/>"):                {"a b=ü"},
		strings.Repeat(" ", 100<<10) + "<a>": {"a"},
	} {
		tags, err := tagsOf(t, text)
		require.NoError(t, err, text[:min(len(text), 50)])
		require.Equal(t, want, tags)
	}
	for _, text := range []string{"<", "<a", "<a b='>", "<!-- >", "<![CDATA[ >", "<? >", "<a b='" + strings.Repeat("x", 2*maxTag) + "'>"} {
		_, err := tagsOf(t, text)
		require.Error(t, err, text[:min(len(text), 50)])
	}
}

func TestScanTagsAndText(t *testing.T) {
	t.Parallel()
	scan := func(text string) (pieces string, err error) {
		err = ScanTagsAndText(strings.NewReader(text), NewBudget(t.Context(), 1<<30), func(tag Tag) bool {
			pieces += "<" + string(tag.Name()) + ">"
			return true
		}, func(piece []byte) bool {
			require.True(t, utf8.Valid(piece), "%.20x", piece)
			pieces += string(piece)
			return true
		})
		return pieces, err
	}
	long := strings.Repeat("가", 100<<10) // does not end at a power of 2
	for text, want := range map[string]string{
		"":                              "",
		"a":                             "a",
		"é":                             "é",
		"<a/>b<c>d</c>e":                "<a>b<c>de",
		"<a x='no'>b<!-- no -->c</a>":   "<a>bc",
		"<a>x<![CDATA[no]]>&#xAC00;":    "<a>x&#xAC00;",
		utf16LE("<a>가</a>"):             "<a>가",
		"<a>" + long + "<b/>x" + long:   "<a>" + long + "<b>x" + long,
		"<a>x" + long + "</a>yy" + long: "<a>x" + long + "yy" + long,
	} {
		pieces, err := scan(text)
		require.NoError(t, err)
		require.Equal(t, want, pieces)
	}
	_, err := scan("<a>가\xea")
	require.Error(t, err, "it ends within a character")
	visits := 0
	require.NoError(t, ScanTagsAndText(strings.NewReader("<a>1<b>2<c>3"), NewBudget(t.Context(), 1<<30),
		func(Tag) bool { return true }, func([]byte) bool { visits++; return visits < 2 }))
	require.Equal(t, 2, visits)
}

func TestTagAttributes(t *testing.T) {
	t.Parallel()
	tag := Tag(`p:sldId id="256" r:id="rId1" r:id="rId2"`)
	require.Equal(t, "256", tag.Get("id"))
	require.Equal(t, "rId1", tag.GetPrefixed("id"))
	require.Empty(t, tag.Get("x"))
	require.Empty(t, tag.GetPrefixed("x"))
	require.True(t, tag.Mentions("256"))
	require.False(t, tag.Mentions("257"))
}

func TestRecords(t *testing.T) {
	t.Parallel()
	stream := []byte("\x09\x08\x02\x00ab\x31\x00\x00\x00\x31\x00\x09\x00cut")
	var found []string
	for id, body := range Records(stream) {
		found = append(found, string(rune(id))+string(body))
	}
	require.Equal(t, []string{string(rune(RecordBOF)) + "ab", "1", "1cut"}, found)
	for range Records([]byte("\x0a\x00\x00\x00\x31\x00\x00\x00")) {
		t.Fatal("nothing comes before the end")
	}
}

func TestUTF16(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Grüße 🎉", UTF16([]byte(utf16LE("Grüße 🎉")[2:])))
	require.Equal(t, "a", UTF16([]byte("a\x00\x00\x00b\x00")))
	require.Equal(t, "a", UTF16([]byte("a\x00b")))
	require.Empty(t, UTF16(nil))
}

// FuzzScanTags looks for panics, for reading without end, and for tags that depend on the size of reads.
func FuzzScanTags(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><a b='>' c="d"/><!-- <x> --><![CDATA[<y>]]>`))
	f.Add([]byte("<a '\"'\"'\"><"))
	f.Fuzz(func(t *testing.T, data []byte) {
		scan := func(buffer int) (names []string) {
			budget := NewBudget(t.Context(), 1<<24)
			budget.buffer = make([]byte, buffer)
			_ = ScanTags(bytes.NewReader(data), budget, func(tag Tag) bool {
				names = append(names, string(tag.Name())+tag.Get("b")+tag.GetPrefixed("b"))
				return true
			})
			return names
		}
		require.Equal(t, scan(1<<20), scan(16))
	})
}

// FuzzContainers looks for panics and for work without end.
func FuzzContainers(f *testing.F) {
	f.Add(zipOf(f, part{"mimetype", "a"}, part{"b/C.xml", "<a/>"}))
	f.Add(compoundOf(stream{Name: "WordDocument", Data: "…"}, stream{Name: "Workbook", Data: strings.Repeat("a", 5000)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		budget := NewBudget(t.Context(), 1<<22)
		w := NewWindow(bytes.NewReader(data), int64(len(data)), 40, budget)
		if c, err := OpenCompound(w); err == nil {
			for name := range c.top {
				require.LessOrEqual(t, len(c.Head(name, 10_000)), 10_000)
			}
		}
		p, err := OpenPackage(w, int64(len(data)), budget)
		if err != nil {
			return
		}
		for _, entry := range p.File {
			head, _, err := p.Head(entry, 100, 50)
			if err == nil {
				require.LessOrEqual(t, len(head), 100)
			}
			_ = p.Tags(entry.Name, 1000, func(Tag) bool { return true })
		}
		require.LessOrEqual(t, budget.Spent(), int64(1<<22+1<<20))
	})
}
