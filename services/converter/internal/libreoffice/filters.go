package libreoffice

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docmill/docmill/contract/format"
)

// errNoFilters means that the files in which LibreOffice lists its filters are not where every known installation has
// them.
var errNoFilters = errors.New("no list of filters found")

// installedFormats returns those of format.All that the LibreOffice in a directory "program" can read. Distributions
// split it into packages, each with its applications, their filters and the file that lists these: without
// libreoffice-draw it reads no Visio, Publisher or image files. (LibreOfficeKit's getFilterTypes does not help: it
// lists types of files, which are all defined in the common package, whether or not there is a filter for them.)
func installedFormats(program string) ([]format.Format, error) {
	filters, err := importFilters(filepath.Join(filepath.Dir(program), "share", "registry"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Collect(format.All()), func(f format.Format) bool { return !filters[f.ImportFilter] }), nil
}

// importFilters returns the names of the filters that read files, from all files of the registry.
func importFilters(directory string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.xcd"))
	if err != nil {
		return nil, fmt.Errorf("list LibreOffice's registry: %w", err) // only for a malformed pattern
	}
	filters := map[string]bool{}
	for _, path := range files {
		if err := addFilters(filters, path); err != nil {
			return nil, fmt.Errorf("read LibreOffice's registry: %w", err)
		}
	}
	if len(filters) == 0 {
		return nil, fmt.Errorf("%w: %s", errNoFilters, directory)
	}
	return filters, nil
}

// registryNode is a node of the registry: a set of a component, a node in it, or a property of such a node.
type registryNode struct {
	Name  string         `xml:"http://openoffice.org/2001/registry name,attr"`
	Value string         `xml:"value"`
	Props []registryNode `xml:"prop"`
	Nodes []registryNode `xml:"node"`
}

func addFilters(filters map[string]bool, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for decoder := xml.NewDecoder(file); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("parse %s: %w", path, err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "component-data" {
			continue
		}
		if !isFilterList(start) {
			err = decoder.Skip()
		} else {
			var list registryNode
			err = decoder.DecodeElement(&list, &start)
			add(filters, list)
		}
		if err != nil {
			return fmt.Errorf("parse %s: %w", path, err)
		}
	}
}

func isFilterList(start xml.StartElement) bool {
	found := map[string]string{}
	for _, a := range start.Attr {
		found[a.Name.Local] = a.Value
	}
	return found["package"] == "org.openoffice.TypeDetection" && found["name"] == "Filter"
}

func add(filters map[string]bool, list registryNode) {
	for _, set := range list.Nodes {
		if set.Name != "Filters" {
			continue
		}
		for _, filter := range set.Nodes {
			for _, prop := range filter.Props {
				if prop.Name == "Flags" && slices.Contains(strings.Fields(prop.Value), "IMPORT") {
					filters[filter.Name] = true
				}
			}
		}
	}
}
