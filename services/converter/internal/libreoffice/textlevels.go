package libreoffice

import (
	"fmt"
	"path"
	"strings"

	"github.com/beevik/etree"

	"github.com/docmill/docmill/contract/officefile"
)

// level is the formatting of a level of a list of DrawingML, as far as it matters for the height of text.
type level struct {
	// size is that of the font, in hundredths of a point; 0 if it is inherited.
	size int
	// spacing is that of lines, in thousandths of a percent; 0 if it is inherited, and exactly if it is a height.
	spacing int
}

const exactly = -1

// or returns the formatting with the other's where it is inherited.
func (l level) or(other level) level {
	if l.size == 0 {
		l.size = other.size
	}
	if l.spacing == 0 {
		l.spacing = other.spacing
	}
	return l
}

// spacingOf returns the line spacing that the properties of a paragraph or level have.
func spacingOf(properties *etree.Element) level {
	if properties.FindElement("a:lnSpc/a:spcPts") != nil {
		return level{spacing: exactly}
	}
	if percent := properties.FindElement("a:lnSpc/a:spcPct"); percent != nil {
		return level{spacing: max(thousandths(percent.SelectAttrValue("val", "")), 0)}
	}
	return level{}
}

// levels are those of a list.
type levels [9]level

// levelsOf returns the levels of a list style, which may be nil.
func levelsOf(style *etree.Element) levels {
	var found levels
	if style == nil {
		return found
	}
	for i := range found {
		if properties := style.SelectElement(fmt.Sprintf("a:lvl%dpPr", i+1)); properties != nil {
			found[i] = spacingOf(properties)
			if font := properties.SelectElement("a:defRPr"); font != nil {
				found[i].size = number(font.SelectAttrValue("sz", ""))
			}
		}
	}
	return found
}

// or returns the levels with the other's where they are inherited.
func (l levels) or(other levels) levels {
	for i := range l {
		l[i] = l[i].or(other[i])
	}
	return l
}

// placeholder is a shape of a slide, layout or master that inherits from a shape of the next sheet.
type placeholder struct{ kind, index string }

// placeholderOf returns the placeholder that a shape is.
func placeholderOf(shape *etree.Element) (placeholder, bool) {
	element := shape.FindElement("p:nvSpPr/p:nvPr/p:ph")
	if element == nil {
		return placeholder{}, false
	}
	return placeholder{kind: element.SelectAttrValue("type", "obj"), index: element.SelectAttrValue("idx", "0")}, true
}

// class returns the kind of text of a placeholder, by which masters tell them apart.
func (p placeholder) class() string {
	switch p.kind {
	case "title", "ctrTitle":
		return "title"
	case "dt", "ftr", "sldNum", "hdr":
		return p.kind
	default:
		return "body"
	}
}

// sheet is a layout or master.
type sheet struct {
	// shapes are the placeholders, and the levels of each.
	shapes []sheetShape
	// title, body and other are the levels of a master's text.
	title, body, other levels
}

type sheetShape struct {
	placeholder
	levels
}

// find returns the levels of the placeholder from which another one inherits: that of the same index, or else the first of its class.
func (s *sheet) find(of placeholder) levels {
	if s == nil {
		return levels{}
	}
	class := of.class()
	for _, shape := range s.shapes {
		if shape.class() == class && (shape.index == of.index || class != "body") {
			return shape.levels
		}
	}
	for _, shape := range s.shapes {
		if shape.class() == class {
			return shape.levels
		}
	}
	return levels{}
}

// style returns the levels of a master's text.
func (s *sheet) style(class string) levels {
	switch {
	case s == nil:
		return levels{}
	case class == "title":
		return s.title
	case class == "body":
		return s.body
	default:
		return s.other
	}
}

// inherited returns the levels that a text of a slide inherits.
func (f *slideFitter) inherited(slide string, body *etree.Element) levels {
	const defaults = "ppt/presentation.xml"
	shape := body.Parent()
	own, is := placeholderOf(shape)
	if !is {
		return f.sheet(defaults).style("other")
	}
	layout := f.target(slide, "/slideLayout")
	master := f.target(layout, "/slideMaster")
	return f.sheet(layout).find(own).or(f.sheet(master).find(own)).or(f.sheet(master).style(own.class()))
}

// target returns the part to which another one has a relationship of a type; "" if there is none.
func (f *slideFitter) target(part, kind string) string {
	if part == "" {
		return ""
	}
	key := [2]string{part, kind}
	if known, seen := f.targets[key]; seen {
		return known
	}
	directory, name := path.Split(part)
	found := ""
	_ = f.p.Tags(directory+"_rels/"+name+".rels", maxSlide, func(t officefile.Tag) bool {
		if string(t.Name()) == "Relationship" && strings.HasSuffix(t.Get("Type"), kind) {
			found = t.Get("Target")
		}
		return found == ""
	})
	if found != "" && !strings.HasPrefix(found, "/") {
		found = path.Join(directory, found)
	}
	found = strings.TrimPrefix(found, "/")
	f.targets[key] = found
	return found
}

// sheet returns a layout, a master or the defaults of the presentation; nil if it cannot be read.
func (f *slideFitter) sheet(part string) *sheet {
	if known, seen := f.sheets[part]; seen {
		return known
	}
	f.sheets[part] = nil
	r, err := f.p.Part(part, maxSlide+1)
	if err != nil {
		return nil
	}
	defer r.Close()
	content, ok := readAll(r, maxSlide)
	if !ok {
		return nil
	}
	document, ok := f.parse(content)
	if !ok {
		return nil
	}
	found := &sheet{
		title: levelsOf(document.FindElement("//p:titleStyle")), body: levelsOf(document.FindElement("//p:bodyStyle")),
		other: levelsOf(document.FindElement("//p:otherStyle")).or(levelsOf(document.FindElement("//p:defaultTextStyle"))),
	}
	for _, shape := range document.FindElements("//p:sp") {
		if own, is := placeholderOf(shape); is {
			found.shapes = append(found.shapes, sheetShape{own, levelsOf(shape.FindElement("p:txBody/a:lstStyle"))})
		}
	}
	f.sheets[part] = found
	return found
}
