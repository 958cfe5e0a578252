package installation

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

// ErrNoFilters says that the files in which LibreOffice lists its filters are not where they are in every installation so far.
var ErrNoFilters = errors.New("no list of filters is there")

// Formats lists those of the formats that the LibreOffice of a folder "program" can read. Distributions pack it in parts,
// each with its applications, its filters and the file that lists them: without libreoffice-draw there is no Visio, no
// Publisher and no picture. (LibreOfficeKit's getFilterTypes is no help: it lists kinds of files, which all stand in the
// common part, whether or not there is a filter for them.)
func Formats(program string) ([]format.Format, error) {
	filters, err := importFilters(filepath.Join(filepath.Dir(program), "share", "registry"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Collect(format.All()), func(f format.Format) bool { return !filters[f.ImportFilter] }), nil
}

// importFilters reads the names of the filters that read files, out of all files of the registry.
func importFilters(folder string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.xcd"))
	if err != nil {
		return nil, fmt.Errorf("list LibreOffice's registry: %w", err) // only a malformed pattern
	}
	filters := map[string]bool{}
	for _, path := range files {
		if err := addFilters(filters, path); err != nil {
			return nil, fmt.Errorf("read LibreOffice's registry: %w", err)
		}
	}
	if len(filters) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoFilters, folder)
	}
	return filters, nil
}

// registryNode is a part of the registry: the sets of a component, their nodes, and the properties of these.
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
