// Package reference renders the OpenAPI document of the API as a page for people. The page is complete in itself: it has
// no script, and loads nothing.
package reference

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"github.com/docmill/docmill/contract/openapi"
)

var (
	//go:embed page.html
	layout string
	//go:embed page.css
	style string
)

// Page is the rendered page.
type Page struct {
	HTML []byte
	// Policy is the Content-Security-Policy to send with it: it allows the style of the page and nothing else.
	Policy string
}

// Render renders the document.
func Render(document openapi.Document) (Page, error) {
	page, err := template.New("page").Funcs(template.FuncMap{
		"values": values, "name": name, "json": indented, "operations": operationsOf(document),
	}).Parse(layout)
	if err != nil {
		return Page{}, fmt.Errorf("parse the page of the API: %w", err)
	}
	var html bytes.Buffer
	content := struct {
		openapi.Document

		Style template.CSS
	}{document, template.CSS(style)} //nolint:gosec // it is a file of this package
	if err := page.Execute(&html, content); err != nil {
		return Page{}, fmt.Errorf("render the page of the API: %w", err)
	}
	sum := sha256.Sum256([]byte(style))
	allowed := base64.StdEncoding.EncodeToString(sum[:])
	policy := "default-src 'none'; style-src 'sha256-" + allowed + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return Page{HTML: html.Bytes(), Policy: policy}, nil
}

// operation is an operation as it is shown: HEAD is shown with GET.
type operation struct {
	*openapi.Operation

	Path, Methods string
}

// operationsOf returns a function that returns the operations with a tag.
func operationsOf(document openapi.Document) func(tag string) []operation {
	return func(tag string) []operation {
		var all []operation
		for _, path := range document.Paths {
			item, get := path.Value, "GET"
			if item.Head != nil {
				get = "GET, HEAD"
			}
			for _, shown := range []operation{
				{item.Post, path.Name, "POST"}, {item.Get, path.Name, get}, {item.Delete, path.Name, "DELETE"},
			} {
				if shown.Operation != nil && shown.Tags[0] == tag {
					all = append(all, shown)
				}
			}
		}
		return all
	}
}

// name returns the name of a component that is referred to.
func name(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

// values describes the values that a schema allows.
func values(s openapi.Schema) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	switch {
	case s.Items != nil && s.Items.Ref != "":
		add("list of " + name(s.Items.Ref))
	case s.Items != nil:
		add("list of " + values(*s.Items))
	case len(s.Enum) > 0:
		add(strings.Join(s.Enum, ", "))
	case s.Format != "" && s.Type == "string":
		add(s.Format)
	default:
		add(s.Type)
	}
	if s.Minimum != nil && s.Maximum != nil {
		add(strconv.Itoa(*s.Minimum) + " to " + strconv.Itoa(*s.Maximum))
	}
	if s.MaxLength > 0 {
		add("at most " + strconv.Itoa(s.MaxLength) + " characters")
	}
	for _, example := range s.Examples {
		add(fmt.Sprintf("such as %v", example))
	}
	if s.Default != nil {
		add(fmt.Sprintf("default %v", s.Default))
	}
	return strings.Join(parts, "; ")
}

// indented returns an example as people read it.
func indented(value any) (string, error) {
	if text, ok := value.(string); ok {
		return text, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // the template escapes
	encoder.SetIndent("", "  ")
	err := encoder.Encode(value)
	return text.String(), err
}
