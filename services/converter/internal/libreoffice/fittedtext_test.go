package libreoffice

import (
	"archive/zip"
	"bytes"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// packageOf returns a package of parts: names and contents in turn.
func packageOf(tb testing.TB, contents ...string) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(contents); i += 2 {
		entry, err := w.Create(contents[i])
		require.NoError(tb, err)
		_, err = entry.Write([]byte(contents[i+1]))
		require.NoError(tb, err)
	}
	require.NoError(tb, w.Close())
	return out.Bytes()
}

func relationship(kind, target string) string {
	return `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" ` +
		`Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/` + kind + `" Target="` + target + `"/></Relationships>`
}

// textShape returns a shape, which is a placeholder if its attributes are given.
func textShape(placeholder, fitting, paragraphs string) string {
	shape := `<p:sp><p:nvSpPr><p:nvPr><p:ph ` + placeholder + `/></p:nvPr></p:nvSpPr><p:txBody><a:bodyPr>` + fitting + `</a:bodyPr>` + paragraphs + `</p:txBody></p:sp>`
	return strings.NewReplacer("<p:nvPr><p:ph /></p:nvPr>", "<p:nvPr/>", "<a:bodyPr></a:bodyPr>", "<a:bodyPr/>").Replace(shape)
}

func slideOf(shapes string) string {
	return `<p:sld xmlns:a="a" xmlns:p="p"><p:cSld><p:spTree>` + shapes + `</p:spTree></p:cSld></p:sld>`
}

// deckOf returns a presentation with one slide.
func deckOf(tb testing.TB, slide string) []byte {
	tb.Helper()
	return packageOf(tb,
		"ppt/presentation.xml", `<p:presentation xmlns:a="a" xmlns:p="p"><p:defaultTextStyle><a:lvl1pPr><a:defRPr sz="1200"/></a:lvl1pPr></p:defaultTextStyle></p:presentation>`,
		"ppt/slides/_rels/slide1.xml.rels", relationship("slideLayout", "../slideLayouts/slideLayout1.xml"),
		"ppt/slideLayouts/_rels/slideLayout1.xml.rels", relationship("slideMaster", "/ppt/slideMasters/slideMaster1.xml"),
		"ppt/slideLayouts/slideLayout1.xml", slideOf(textShape(`idx="7"`, "", `<a:lstStyle><a:lvl2pPr><a:lnSpc><a:spcPct val="95%"/></a:lnSpc></a:lvl2pPr></a:lstStyle>`)+
			textShape(`type="title"`, "<a:normAutofit />", "")),
		"ppt/slideMasters/slideMaster1.xml", strings.Replace(slideOf(textShape(`type="body" idx="1"`, "<a:normAutofit></a:normAutofit>",
			`<a:lstStyle><a:lvl1pPr><a:defRPr sz="3000"/></a:lvl1pPr></a:lstStyle>`)), "</p:sld>",
			`<p:txStyles><p:titleStyle><a:lvl1pPr><a:lnSpc><a:spcPts val="4000"/></a:lnSpc><a:defRPr sz="4400"/></a:lvl1pPr></p:titleStyle>`+
				`<p:bodyStyle><a:lvl1pPr><a:lnSpc><a:spcPct val="90000"/></a:lnSpc><a:defRPr sz="2800"/></a:lvl1pPr>`+
				`<a:lvl2pPr><a:defRPr sz="2000"/></a:lvl2pPr></p:bodyStyle></p:txStyles></p:sld>`, 1),
		"ppt/slides/slide1.xml", slide)
}

func TestFittedSlides(t *testing.T) {
	t.Parallel()
	const (
		scaled  = `<a:normAutofit fontScale="92500" lnSpcReduction="20000"/>`
		smaller = `<a:normAutofit fontScale="50%"/>`
		text    = `<a:p><a:r><a:t>x</a:t></a:r></a:p>`
	)
	spacing := func(value string) string { return `<a:lnSpc><a:spcPct val="` + value + `"/></a:lnSpc>` }
	run := func(size string) string { return `<a:r><a:rPr sz="` + size + `"/><a:t>x</a:t></a:r>` }
	for name, c := range map[string]struct{ placeholder, fitting, before, after string }{
		"nothing to scale":      {`idx="7"`, "<a:normAutofit/>", text, text},
		"sizes of the master":   {`idx="7"`, scaled, text, `<a:p><a:pPr>` + spacing("70000") + `</a:pPr>` + run("2800") + `</a:p>`},
		"an unknown index":      {`idx="8"`, scaled, text, `<a:p><a:pPr>` + spacing("70000") + `</a:pPr>` + run("2800") + `</a:p>`},
		"spacing of a layout":   {`idx="7"`, scaled, `<a:p><a:pPr lvl="1"/><a:r><a:t>x</a:t></a:r></a:p>`, `<a:p><a:pPr lvl="1">` + spacing("75000") + `</a:pPr>` + run("1900") + `</a:p>`},
		"own sizes":             {`idx="7"`, smaller, `<a:p>` + run("2500") + `<a:br/><a:endParaRPr sz="100"/></a:p>`, `<a:p>` + run("1300") + `<a:br><a:rPr sz="1500"/></a:br><a:endParaRPr sz="100"/></a:p>`},
		"own list":              {`idx="7"`, smaller, `<a:lstStyle><a:lvl1pPr><a:defRPr sz="800"/></a:lvl1pPr></a:lstStyle>` + text, `<a:lstStyle><a:lvl1pPr><a:defRPr sz="800"/></a:lvl1pPr></a:lstStyle><a:p>` + run("400") + `</a:p>`},
		"lines of fixed height": {`type="title"`, scaled, text, `<a:p>` + run("4100") + `</a:p>`},
		"own spacing":           {`type="title"`, scaled, `<a:p><a:pPr>` + spacing("110%") + `</a:pPr></a:p>`, `<a:p><a:pPr>` + spacing("90000") + `</a:pPr></a:p>`},
		"too small a spacing":   {`type="title"`, scaled, `<a:p><a:pPr>` + spacing("20000") + `</a:pPr></a:p>`, `<a:p><a:pPr>` + spacing("20000") + `</a:pPr></a:p>`},
		"no placeholder":        {"", smaller, text, `<a:p>` + run("600") + `</a:p>`},
		"a level too many":      {"", smaller, `<a:p><a:pPr lvl="9"/><a:r><a:t>x</a:t></a:r></a:p>`, `<a:p><a:pPr lvl="9"/>` + run("600") + `</a:p>`},
	} {
		document := deckOf(t, slideOf(textShape(c.placeholder, c.fitting, c.before)))
		changed := fittedSlides(t.Context(), bytes.NewReader(document), int64(len(document)))
		require.Equal(t, slideOf(textShape(c.placeholder, "<a:noAutofit/>", c.after)), string(changed["ppt/slides/slide1.xml"]), name)
		require.Contains(t, string(changed["ppt/slideLayouts/slideLayout1.xml"]), "<a:bodyPr><a:noAutofit/></a:bodyPr>")
		require.Contains(t, string(changed["ppt/slideMasters/slideMaster1.xml"]), "<a:bodyPr><a:noAutofit/></a:bodyPr>")
	}
	for name, slide := range map[string]string{
		"not fitted":        slideOf(textShape("", "<a:spAutoFit/>", text)),
		"no scale":          slideOf(textShape("", `<a:normAutofit fontScale="x"/>`, text)),
		"an enlargement":    slideOf(textShape("", `<a:normAutofit fontScale="200000"/>`, text)),
		"infinite":          slideOf(textShape("", `<a:normAutofit fontScale="Inf" lnSpcReduction="NaN%"/>`, text)),
		"no XML":            "<a:normAutofit fontScale=",
		"text of this name": slideOf(textShape("", "", "<a:p><a:r><a:t>&lt;a:normAutofit/></a:t></a:r></a:p>")),
	} {
		document := deckOf(t, slide)
		require.NotContains(t, fittedSlides(t.Context(), bytes.NewReader(document), int64(len(document))), "ppt/slides/slide1.xml", name)
	}
	require.Empty(t, fittedSlides(t.Context(), strings.NewReader("no package"), 10))
}

// TestEmptyItems: only an empty paragraph on a lower level of a list is filled.
func TestEmptyItems(t *testing.T) {
	t.Parallel()
	const empty = `<a:p><a:pPr lvl="2"><a:spcBef/><a:buChar char="-"/></a:pPr><a:endParaRPr lang="en" sz="900"><a:latin/></a:endParaRPr></a:p><a:p><a:pPr lvl="1"/></a:p>`
	document := deckOf(t, slideOf(textShape("", "", empty)))
	changed := fittedSlides(t.Context(), bytes.NewReader(document), int64(len(document)))
	require.Equal(t, slideOf(textShape("", "", `<a:p><a:pPr lvl="2"><a:spcBef/><a:buNone/></a:pPr><a:r><a:rPr lang="en" sz="900"><a:latin/></a:rPr><a:t> </a:t></a:r>`+
		`<a:endParaRPr lang="en" sz="900"><a:latin/></a:endParaRPr></a:p><a:p><a:pPr lvl="1"><a:buNone/></a:pPr><a:r><a:t> </a:t></a:r></a:p>`)),
		string(changed["ppt/slides/slide1.xml"]))
	for _, fine := range []string{
		`<a:p><a:endParaRPr/></a:p>`, `<a:p><a:pPr lvl="0"/><a:endParaRPr/></a:p>`, `<a:p><a:pPr marL="1"></a:pPr><a:endParaRPr/></a:p>`,
		`<a:p><a:pPr lvl="1"/><a:r><a:t/></a:r></a:p>`, `<a:p><a:pPr lvl="1"></a:pPr><a:br/></a:p>`,
	} {
		document := deckOf(t, slideOf(textShape("", "", fine)))
		require.NotContains(t, fittedSlides(t.Context(), bytes.NewReader(document), int64(len(document))), "ppt/slides/slide1.xml", fine)
	}
}

// TestHostileSlides: neither many elements nor deep ones take much time or memory.
func TestHostileSlides(t *testing.T) {
	t.Parallel()
	const fitting = `<a:normAutofit fontScale="50000" lnSpcReduction="10000"/>`
	slide := func(paragraphs string) string { return slideOf(textShape(`idx="7"`, fitting, paragraphs)) }
	for name, c := range map[string]struct {
		slide   string
		changed bool
	}{
		"too many tags":   {slide(strings.Repeat("<a:p/>", maxSlideTags)), false},
		"many paragraphs": {slide(strings.Repeat("<a:p/>", maxSlideTags*4/5)), true},
		"a deep slide":    {slide(strings.Repeat("<a:p>", maxSlideTags/3) + strings.Repeat("</a:p>", maxSlideTags/3)), false},
		"many texts":      {slideOf(strings.Repeat(textShape(`idx="7"`, fitting, "<a:p/>"), maxSlideTags/20)), true},
		"too large":       {slide("<a:p>" + strings.Repeat("x", maxSlide) + "</a:p>"), false},
	} {
		document := deckOf(t, c.slide)
		changed := fittedSlides(t.Context(), bytes.NewReader(document), int64(len(document)))
		require.Equal(t, c.changed, changed["ppt/slides/slide1.xml"] != nil, name)
		require.Less(t, len(changed["ppt/slides/slide1.xml"]), maxSlidesChanged, name)
	}
	var many []string
	for i := range 100 {
		many = append(many, "ppt/slides/slide"+strconv.Itoa(i)+".xml", "<a:normAutofit/>"+strings.Repeat(" ", maxSlide/2))
	}
	document := packageOf(t, many...)
	total := 0
	for _, content := range fittedSlides(t.Context(), bytes.NewReader(document), int64(len(document))) {
		total += len(content)
	}
	require.NotZero(t, total)
	require.LessOrEqual(t, total, maxSlidesChanged)
}

func FuzzFittedSlides(f *testing.F) {
	f.Add([]byte(slideOf(textShape(`idx="7"`, `<a:normAutofit fontScale="92500" lnSpcReduction="20000"/>`, `<a:p><a:pPr lvl="1"/></a:p>`))))
	f.Fuzz(func(t *testing.T, slide []byte) {
		document := deckOf(t, string(slide))
		changed := fittedSlides(t.Context(), bytes.NewReader(document), int64(len(document)))["ppt/slides/slide1.xml"]
		if changed == nil {
			return
		}
		again := deckOf(t, string(changed))
		require.NotContains(t, fittedSlides(t.Context(), bytes.NewReader(again), int64(len(again))), "ppt/slides/slide1.xml", "%q", changed)
	})
}

var wordBox = regexp.MustCompile(`yMin="([0-9.]+)" xMax="[0-9.]+" yMax="([0-9.]+)">([^<]*)<`)

// wordBoxes returns the top and the height of each word of a PDF, in points.
func wordBoxes(t *testing.T, path string) map[string][2]float64 {
	t.Helper()
	output, err := exec.Command("pdftotext", "-bbox", path, "-").Output()
	require.NoError(t, err)
	boxes := map[string][2]float64{}
	for _, found := range wordBox.FindAllSubmatch(output, -1) {
		top, err := strconv.ParseFloat(string(found[1]), 64)
		require.NoError(t, err)
		bottom, err := strconv.ParseFloat(string(found[2]), 64)
		require.NoError(t, err)
		boxes[string(found[3])] = [2]float64{top, bottom - top}
	}
	return boxes
}

// TestFittedText: text has the size that PowerPoint computed, even if a larger one fits.
func TestFittedText(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	const slide = "ppt/slides/slide1.xml"
	height := func(deck []byte, layout conversionv1.Layout) float64 {
		request := requestFor(t, deck, "pptx")
		request.Options = &conversionv1.Options{Layout: layout}
		output, err := e.Convert(t.Context(), request)
		require.NoError(t, err)
		return wordBoxes(t, output.Path)["Docmill"][1]
	}
	deck := warmUpDocument(t, "deck.pptx", slide, "Docmill")
	plain := height(deck, conversionv1.Layout_LAYOUT_OFFICE)
	fitted := rewritten(t, deck, slide, "<a:noAutofit/>", `<a:normAutofit fontScale="50000" lnSpcReduction="20000"/>`)
	require.InDelta(t, plain/2, height(fitted, conversionv1.Layout_LAYOUT_OFFICE), plain/50)
	require.NotZero(t, height(fitted, conversionv1.Layout_LAYOUT_LIBREOFFICE))
}
