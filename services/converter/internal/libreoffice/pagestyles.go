package libreoffice

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

// stylesName is the entry of a package with the page styles. LibreOffice writes about 10 KiB; no more than maxStyles is
// read.
const (
	stylesName = "styles.xml"
	maxStyles  = 64 << 20
)

// rewriteStyles copies an OpenDocument spreadsheet with other page styles. The other entries are copied compressed as
// they are.
func rewriteStyles(from, to string, setup pageSetup) (err error) {
	in, err := zip.OpenReader(from)
	if err != nil {
		return fmt.Errorf("open the spreadsheet: %w", err)
	}
	defer in.Close()
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create the spreadsheet: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := zip.NewWriter(file)
	for _, entry := range in.File {
		if entry.Name != stylesName {
			err = out.Copy(entry)
		} else {
			err = rewriteEntry(out, entry, setup)
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", entry.Name, err)
		}
	}
	return out.Close()
}

func rewriteEntry(out *zip.Writer, entry *zip.File, setup pageSetup) error {
	content, err := entry.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, maxStyles))
	if err != nil {
		return err
	}
	changed, err := setup.apply(text)
	if err != nil {
		return err
	}
	written, err := out.Create(entry.Name)
	if err != nil {
		return err
	}
	_, err = written.Write(changed)
	return err
}

// apply changes the page styles in styles.xml (OpenDocument 1.3 part 3, 16.5, 16.9 and 20.2).
func (p pageSetup) apply(text []byte) ([]byte, error) {
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
		p.setSize(properties)
		if p.fitWidth {
			properties.RemoveAttr("style:scale-to")
			properties.RemoveAttr("style:scale-to-pages")
			properties.CreateAttr("style:scale-to-X", "1")
			properties.CreateAttr("style:scale-to-Y", "0") // as many pages in height as needed
		}
	}
	if p.noHeaders {
		for _, name := range []string{"header", "footer"} {
			for _, element := range document.FindElements("//style:master-page/style:" + name) {
				element.CreateAttr("style:display", "false")
			}
		}
	}
	var out bytes.Buffer
	_, err := document.WriteTo(&out)
	return out.Bytes(), err
}

// setSize sets width, height and orientation of a page style.
func (p pageSetup) setSize(properties *etree.Element) {
	width, height := p.size(properties)
	if width == 0 {
		return
	}
	landscape := width > height
	if p.orientation != conversionv1.Orientation_ORIENTATION_UNSPECIFIED {
		landscape = p.orientation == conversionv1.Orientation_ORIENTATION_LANDSCAPE
	}
	if landscape != (width > height) {
		width, height = height, width
	}
	properties.CreateAttr("fo:page-width", millimeters(width))
	properties.CreateAttr("fo:page-height", millimeters(height))
	properties.CreateAttr("style:print-orientation", map[bool]string{false: "portrait", true: "landscape"}[landscape])
}

// size returns the size that a page should have, in millimeters, in the orientation that it has in the document; 0 if
// it should not change.
func (p pageSetup) size(properties *etree.Element) (width, height float64) {
	ownWidth := length(properties.SelectAttrValue("fo:page-width", ""))
	ownHeight := length(properties.SelectAttrValue("fo:page-height", ""))
	landscape := ownWidth > ownHeight || properties.SelectAttrValue("style:print-orientation", "") == "landscape"
	size, chosen := paperSizes[p.paper]
	switch {
	case chosen && landscape:
		return size[1], size[0]
	case chosen:
		return size[0], size[1]
	case p.orientation == conversionv1.Orientation_ORIENTATION_UNSPECIFIED:
		return 0, 0
	case ownWidth > 0 && ownHeight > 0:
		return ownWidth, ownHeight
	default:
		a4 := paperSizes[conversionv1.Paper_PAPER_A4] // LibreOffice omits the paper size if it is its default
		return a4[0], a4[1]
	}
}

// paperSizes are width and height of paper in portrait orientation, in millimeters (ISO 216; ANSI/ASME Y14.1).
var paperSizes = map[conversionv1.Paper][2]float64{
	conversionv1.Paper_PAPER_A3:      {297, 420},
	conversionv1.Paper_PAPER_A4:      {210, 297},
	conversionv1.Paper_PAPER_A5:      {148, 210},
	conversionv1.Paper_PAPER_LETTER:  {215.9, 279.4},
	conversionv1.Paper_PAPER_LEGAL:   {215.9, 355.6},
	conversionv1.Paper_PAPER_TABLOID: {279.4, 431.8},
}

// units are OpenDocument's units of length in millimeters.
var units = map[string]float64{"mm": 1, "cm": 10, "in": 25.4, "pt": 25.4 / 72}

// length parses an OpenDocument length and returns it in millimeters, or 0.
func length(text string) float64 {
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

func millimeters(value float64) string { return strconv.FormatFloat(value, 'f', 2, 64) + "mm" }
