package paper

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/beevik/etree"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// layout is what is wanted of every page.
type layout struct {
	paper       conversionv1.Paper
	orientation conversionv1.Orientation
	fitWidth    bool
	// bare pages have no header and no footer.
	bare bool
}

// styles is the part of a package with the page styles. LibreOffice writes some 10 KiB; no part larger than maxStyles is read.
const (
	styles    = "styles.xml"
	maxStyles = 64 << 20
)

// rewrite copies an OpenDocument spreadsheet with other page styles. The other parts are copied as they are, compressed.
func rewrite(from, to string, wanted layout) (err error) {
	in, err := zip.OpenReader(from)
	if err != nil {
		return fmt.Errorf("open the spreadsheet: %w", err)
	}
	defer in.Close()
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the spreadsheet: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := zip.NewWriter(file)
	for _, part := range in.File {
		if part.Name != styles {
			err = out.Copy(part)
		} else {
			err = rewritePart(out, part, wanted)
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", part.Name, err)
		}
	}
	return out.Close()
}

func rewritePart(out *zip.Writer, part *zip.File, wanted layout) error {
	content, err := part.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, maxStyles))
	if err != nil {
		return err
	}
	changed, err := wanted.apply(text)
	if err != nil {
		return err
	}
	written, err := out.Create(part.Name)
	if err != nil {
		return err
	}
	_, err = written.Write(changed)
	return err
}

// apply changes the page styles in styles.xml (OpenDocument 1.3 part 3, 16.5, 16.9 and 20.2).
func (l layout) apply(text []byte) ([]byte, error) {
	document := etree.NewDocument()
	if err := document.ReadFromBytes(text); err != nil {
		return nil, err
	}
	for _, style := range document.FindElements("//style:page-layout") {
		properties := style.SelectElement("style:page-layout-properties")
		if properties == nil {
			properties = etree.NewElement("style:page-layout-properties")
			style.InsertChildAt(0, properties)
		}
		l.size(properties)
		if l.fitWidth {
			properties.RemoveAttr("style:scale-to")
			properties.RemoveAttr("style:scale-to-pages")
			properties.CreateAttr("style:scale-to-X", "1")
			properties.CreateAttr("style:scale-to-Y", "0") // as many pages down as it takes
		}
	}
	if l.bare {
		for _, name := range []string{"header", "footer"} {
			for _, part := range document.FindElements("//style:master-page/style:" + name) {
				part.CreateAttr("style:display", "false")
			}
		}
	}
	var out bytes.Buffer
	_, err := document.WriteTo(&out)
	return out.Bytes(), err
}

// size sets width, height and orientation.
func (l layout) size(properties *etree.Element) {
	width, height := l.measure(properties)
	if width == 0 {
		return
	}
	landscape := width > height
	if l.orientation != conversionv1.Orientation_ORIENTATION_UNSPECIFIED {
		landscape = l.orientation == conversionv1.Orientation_ORIENTATION_LANDSCAPE
	}
	if landscape != (width > height) {
		width, height = height, width
	}
	properties.CreateAttr("fo:page-width", millimetres(width))
	properties.CreateAttr("fo:page-height", millimetres(height))
	properties.CreateAttr("style:print-orientation", map[bool]string{false: "portrait", true: "landscape"}[landscape])
}

// measure gives the size that a page shall have, in millimetres, lying as the document's own page lies, or 0 when it shall stay.
func (l layout) measure(properties *etree.Element) (width, height float64) {
	ownWidth := length(properties.SelectAttrValue("fo:page-width", ""))
	ownHeight := length(properties.SelectAttrValue("fo:page-height", ""))
	lies := ownWidth > ownHeight || properties.SelectAttrValue("style:print-orientation", "") == "landscape"
	size, chosen := sizes()[l.paper]
	switch {
	case chosen && lies:
		return size[1], size[0]
	case chosen:
		return size[0], size[1]
	case l.orientation == conversionv1.Orientation_ORIENTATION_UNSPECIFIED:
		return 0, 0
	case ownWidth > 0 && ownHeight > 0:
		return ownWidth, ownHeight
	default:
		a4 := sizes()[conversionv1.Paper_PAPER_A4] // LibreOffice leaves the paper out when it is its own default
		return a4[0], a4[1]
	}
}

// sizes are width and height of upright paper in millimetres (ISO 216; ANSI/ASME Y14.1).
func sizes() map[conversionv1.Paper][2]float64 {
	return map[conversionv1.Paper][2]float64{
		conversionv1.Paper_PAPER_A3:      {297, 420},
		conversionv1.Paper_PAPER_A4:      {210, 297},
		conversionv1.Paper_PAPER_A5:      {148, 210},
		conversionv1.Paper_PAPER_LETTER:  {215.9, 279.4},
		conversionv1.Paper_PAPER_LEGAL:   {215.9, 355.6},
		conversionv1.Paper_PAPER_TABLOID: {279.4, 431.8},
	}
}

// length reads a length of OpenDocument in millimetres, or 0.
func length(text string) float64 {
	units := map[string]float64{"mm": 1, "cm": 10, "in": 25.4, "pt": 25.4 / 72}
	for unit, factor := range units {
		if digits, found := strings.CutSuffix(text, unit); found {
			value, err := strconv.ParseFloat(digits, 64)
			if err != nil || value < 0 {
				return 0
			}
			return value * factor
		}
	}
	return 0
}

func millimetres(value float64) string { return strconv.FormatFloat(value, 'f', 2, 64) + "mm" }
