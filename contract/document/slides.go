package document

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

const (
	// slideFetches bounds the reading of [CountSlides] to 256 MiB. It is made for local files: a deck of 1000 slides
	// takes about 1000 reads.
	slideFetches = 4096
	// maxSlides bounds the number of slides that are looked at.
	maxSlides = 10_000
	// maxSlideList bounds what is inflated of the part that lists the slides.
	maxSlideList = 4 << 20
	// maxSlideHead bounds what is inflated of a slide: its root comes first.
	maxSlideHead = 16 << 10
	// maxODFContent bounds what is inflated of an OpenDocument presentation, whose slides lie in one part.
	maxODFContent = 64 << 20
)

// SlideCount is how many slides a presentation has.
type SlideCount struct {
	// Total counts all slides.
	Total int
	// Hidden are the numbers of those that are neither shown nor printed, counted from 1, in order.
	Hidden []int
}

// Visible counts the slides that are shown and printed: the pages of a PDF.
func (c SlideCount) Visible() int { return c.Total - len(c.Hidden) }

// CountSlides counts the slides of a presentation in Office Open XML (pptx, ppsx, potx and those with macros) or OpenDocument (odp, otp) of size
// bytes. LibreOffice gives nothing, and says nothing, when all slides are hidden, and one blank page when there are none.
//
// What has no slides that could be counted (a text, the old binary format, an encrypted document) is
// [errors.ErrUnsupported]; any other error means that the document could not be read.
func CountSlides(r io.ReaderAt, size int64) (SlideCount, error) {
	w := newWindow(r, size, slideFetches)
	a, err := openCountable(w)
	if err != nil {
		return SlideCount{}, err
	}
	var count SlideCount
	if mediaType, _ := a.mediaType(); strings.TrimSuffix(mediaType, "-template") == openDoc+"presentation" {
		count, err = a.countODF()
	} else {
		count, err = a.countOpenXML()
	}
	if err = errors.Join(w.failure, err); err != nil {
		return SlideCount{}, fmt.Errorf("count the slides: %w", err)
	}
	return count, nil
}

func openCountable(w *window) (archive, error) {
	if w.size <= 0 {
		return archive{}, fmt.Errorf("count the slides of an empty document: %w", errors.ErrUnsupported)
	}
	head, err := w.head()
	if err != nil {
		return archive{}, err
	}
	if !isArchive(head) {
		return archive{}, fmt.Errorf("count the slides of what is no package: %w", errors.ErrUnsupported)
	}
	// The directory is held to the same bound as in a recognition.
	all := w.fetches
	w.fetches = min(all, recogniseFetches)
	spare := all - w.fetches
	a, err := openArchive(w)
	w.fetches += spare
	return a, err
}

func (a archive) countOpenXML() (SlideCount, error) {
	main, err := a.mainPart()
	if err != nil {
		return SlideCount{}, err
	}
	mainType, err := a.contentType(main)
	if f, ok := formatByMainType(mainType); err != nil || !ok || f.Family != Presentation {
		return SlideCount{}, errors.Join(errors.ErrUnsupported, err)
	}
	slides, err := a.slideParts(main)
	if err != nil {
		return SlideCount{}, err
	}
	hidden := a.hiddenParts(slides)
	count := SlideCount{Total: len(slides)}
	for i, s := range slides {
		if hidden[s] {
			count.Hidden = append(count.Hidden, i+1)
		}
	}
	return count, nil
}

// slideParts gives the parts of the slides in their order. The list in the main part counts; a package may hold slides
// that are on no list.
func (a archive) slideParts(main string) ([]string, error) {
	var ids []string
	err := a.elements(main, maxSlideList, func(e xml.StartElement) bool {
		// The list of sections, an extension, names the slides a second time, but without their relations.
		if id := relationID(e); e.Name.Local == "sldId" && id != "" {
			ids = append(ids, id)
		}
		return len(ids) < maxSlides
	})
	if err != nil {
		return nil, err
	}
	folder, file := path.Split(main)
	targets := map[string]string{}
	err = a.elements(folder+"_rels/"+file+".rels", maxRelations, func(e xml.StartElement) bool {
		if e.Name.Local == "Relationship" {
			targets[attribute(e, "Id")] = partKey(resolve(folder, attribute(e, "Target")))
		}
		return true
	})
	if err != nil && !errors.Is(err, errMissingPart) {
		return nil, err
	}
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = targets[id]
	}
	return parts, nil
}

// relationID gives the attribute r:id of a slide, which has an attribute id of its own beside it.
func relationID(e xml.StartElement) string {
	for _, a := range e.Attr {
		if a.Name.Local == "id" && strings.HasSuffix(a.Name.Space, "/relationships") {
			return a.Value
		}
	}
	return ""
}

// hiddenParts finds the slides that are not to be shown. One that cannot be read counts as shown: the conversion will tell.
func (a archive) hiddenParts(slides []string) map[string]bool {
	wanted := make(map[string]bool, len(slides))
	for _, s := range slides {
		wanted[s] = true
	}
	hidden := map[string]bool{}
	for _, f := range a.File {
		if key := partKey(f.Name); wanted[key] {
			delete(wanted, key) // a name twice is read once
			r, err := openPart(f, maxSlideHead)
			if err != nil {
				continue
			}
			_ = elements(r, func(root xml.StartElement) bool {
				show := attribute(root, "show")
				hidden[key] = show == "0" || show == "false"
				return false
			})
			_ = r.Close()
		}
	}
	return hidden
}

// countODF counts the pages of an OpenDocument presentation. A page is hidden by its automatic style, which comes before.
func (a archive) countODF() (SlideCount, error) {
	var (
		count  SlideCount
		style  string
		hidden = map[string]bool{}
	)
	err := a.elements("content.xml", maxODFContent, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "style":
			style = attribute(e, "name")
		case "drawing-page-properties":
			if attribute(e, "visibility") == "hidden" {
				hidden[style] = true
			}
		case "page":
			if count.Total++; hidden[attribute(e, "style-name")] {
				count.Hidden = append(count.Hidden, count.Total)
			}
		}
		return count.Total < maxSlides
	})
	return count, err
}
