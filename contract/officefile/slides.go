package officefile

import (
	"context"
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
	// slideBudget is about 4 s: an OpenDocument presentation of 64 MiB of nothing but the shortest tags takes 0.6 s.
	slideBudget = 400_000_000
	// directoryFetches bounds the reading of a directory to 2.5 MiB.
	directoryFetches = 40
	// maxSlides bounds the number of slides that are looked at.
	maxSlides = 10_000
	// maxSlideList bounds the bytes that are inflated of the part that lists the slides.
	maxSlideList = 4 << 20
	// maxSlideHead bounds the bytes that are inflated of a slide: its root comes first.
	maxSlideHead = 16 << 10
	// maxODFContent bounds the bytes that are inflated of an OpenDocument presentation, whose slides are all in one part.
	maxODFContent = 64 << 20
)

// SlideCount is the number of slides of a presentation.
type SlideCount struct {
	// Total counts all slides.
	Total int
	// Hidden has the numbers of those that are neither shown nor printed, counted from 1, in order.
	Hidden []int
}

// Visible returns the number of slides that are shown and printed: the pages of a PDF.
func (c SlideCount) Visible() int { return c.Total - len(c.Hidden) }

// CountSlides counts the slides of a presentation of size bytes in Office Open XML (pptx, ppsx, potx and those with
// macros) or OpenDocument (odp, otp). LibreOffice writes nothing, and reports nothing, when all slides are hidden,
// and one blank page when there are none.
//
// What has no slides that can be counted (a text, the old binary format, an encrypted document) is
// [errors.ErrUnsupported]; any other error means that the document could not be read.
func CountSlides(ctx context.Context, r io.ReaderAt, size int64) (SlideCount, error) {
	budget := NewBudget(ctx, slideBudget)
	w := NewWindow(r, size, slideFetches, budget)
	p, err := openCountable(w, budget)
	if err != nil {
		return SlideCount{}, err
	}
	var count SlideCount
	mediaType, _ := p.MediaType()
	if strings.TrimSuffix(mediaType, "-template") == "application/vnd.oasis.opendocument.presentation" {
		count, err = p.countODF()
	} else {
		count, err = p.countOpenXML()
	}
	if err = errors.Join(w.failure, err); err != nil {
		return SlideCount{}, fmt.Errorf("count the slides: %w", err)
	}
	return count, budget.Err()
}

func openCountable(w *Window, budget *Budget) (*Package, error) {
	if w.size <= 0 {
		return nil, fmt.Errorf("count the slides of an empty document: %w", errors.ErrUnsupported)
	}
	head, err := w.Head()
	if err != nil {
		return nil, err
	}
	if !IsPackage(head) {
		return nil, fmt.Errorf("count the slides of a document that is not a package: %w", errors.ErrUnsupported)
	}
	// The directory is held to the same bound as in a detection.
	spare := w.fetches - directoryFetches
	w.fetches = directoryFetches
	p, err := OpenPackage(w, w.size, budget)
	w.fetches += spare
	return p, err
}

func (p *Package) countOpenXML() (SlideCount, error) {
	main, err := p.MainPart()
	if err != nil {
		return SlideCount{}, err
	}
	mainType, err := p.ContentType(main)
	if err != nil || !isPresentation(mainType) {
		return SlideCount{}, errors.Join(errors.ErrUnsupported, err)
	}
	slides, err := p.slideParts(main)
	if err != nil {
		return SlideCount{}, err
	}
	hidden := p.hiddenParts(slides)
	count := SlideCount{Total: len(slides)}
	for i, s := range slides {
		if hidden[s] {
			count.Hidden = append(count.Hidden, i+1)
		}
	}
	return count, nil
}

// isPresentation reports whether a content type is that of the main part of a presentation, show or template, with
// macros or without.
func isPresentation(mainType string) bool {
	for _, family := range []string{
		"application/vnd.openxmlformats-officedocument.presentationml.", "application/vnd.ms-powerpoint.",
	} {
		if kind, ok := strings.CutPrefix(mainType, family); ok && strings.HasSuffix(kind, ".main+xml") {
			return true
		}
	}
	return false
}

// slideParts returns the parts of the slides in their order. The list in the main part counts: a package may have
// slides that are not listed.
func (p *Package) slideParts(main string) ([]string, error) {
	var ids []string
	err := p.Tags(main, maxSlideList, func(t Tag) bool {
		if string(t.Name()) != "sldId" {
			return true
		}
		// The list of sections, an extension, names the slides a second time, but without their relationships.
		if id := t.GetPrefixed("id"); id != "" {
			ids = append(ids, id)
		}
		return len(ids) < maxSlides
	})
	if err != nil {
		return nil, err
	}
	directory, file := path.Split(main)
	targets := map[string]string{}
	err = p.Tags(directory+"_rels/"+file+".rels", maxRelations, func(t Tag) bool {
		if string(t.Name()) == "Relationship" {
			targets[t.Get("Id")] = PartKey(resolve(directory, t.Get("Target")))
		}
		return true
	})
	if err != nil && !errors.Is(err, ErrMissingPart) {
		return nil, err
	}
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = targets[id]
	}
	return parts, nil
}

// hiddenParts returns the hidden slides. A slide that cannot be read counts as shown: the conversion decides about it.
func (p *Package) hiddenParts(slides []string) map[string]bool {
	wanted := make(map[string]bool, len(slides))
	for _, s := range slides {
		wanted[s] = true
	}
	hidden := map[string]bool{}
	for _, f := range p.File {
		key := PartKey(f.Name)
		if !wanted[key] {
			continue
		}
		delete(wanted, key) // a name that occurs twice is read once
		r, err := p.Open(f, maxSlideHead)
		if err != nil {
			continue
		}
		_ = ScanTags(r, p.budget, func(root Tag) bool {
			show := root.Get("show")
			hidden[key] = show == "0" || show == "false"
			return false
		})
		_ = r.Close()
	}
	return hidden
}

// countODF counts the pages of an OpenDocument presentation. A page is hidden by its automatic style, which comes
// before it.
func (p *Package) countODF() (SlideCount, error) {
	var (
		count  SlideCount
		style  string
		hidden = map[string]bool{}
	)
	err := p.Tags("content.xml", maxODFContent, func(t Tag) bool {
		switch string(t.Name()) {
		case "style":
			style = t.Get("name")
		case "drawing-page-properties":
			if t.Get("visibility") == "hidden" {
				hidden[style] = true
			}
		case "page":
			if count.Total++; hidden[t.Get("style-name")] {
				count.Hidden = append(count.Hidden, count.Total)
			}
		}
		return count.Total < maxSlides
	})
	return count, err
}
