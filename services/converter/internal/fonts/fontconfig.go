package fonts

import (
	"embed"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"text/template"

	fontset "github.com/docmill/docmill/fonts"
	"github.com/docmill/docmill/fonts/packages"
)

//go:embed *.tmpl
var templateFiles embed.FS

// systemDirectories are where distributions install fonts.
var systemDirectories = []string{"/usr/share/fonts", "/usr/local/share/fonts"}

// systemConfiguration is fontconfig's own configuration.
const systemConfiguration = "/etc/fonts"

// systemCache is fontconfig's cache of the system's fonts, which packages keep up to date: reading Noto's CJK fonts takes
// seconds.
const systemCache = "/var/cache/fontconfig"

// relied are the files that the font set relies on: those of packages, and LibreOffice's own font of symbols.
func relied() []string { return append(files(packages.Relied()), "opens___.ttf") }

// unwanted are the files of fonts that must not be used together with the font set.
func unwanted() []string { return files(packages.System()) }

func files(of []packages.Package) []string {
	var patterns []string
	for _, p := range of {
		patterns = append(patterns, p.Files...)
	}
	return patterns
}

// fontFiles are patterns of all files of fonts. A pattern without the suffix would match directories, too.
var fontFiles = []string{"*.?t?", "*.?T?", "*.pf?", "*.PF?", "*.pcf*", "*.bdf*", "*.woff*"}

// regions are the variants of Noto's CJK fonts by language: Chinese characters are drawn differently.
var regions = []region{
	{"ja", "JP"}, {"ko", "KR"}, {"zh-cn", "SC"}, {"zh-sg", "SC"}, {"zh-tw", "TC"}, {"zh-hk", "TC"}, {"zh-mo", "TC"},
}

type region struct{ Language, Variant string }

// kinds are the fonts of each kind: Liberation's have the widths of Arial, Times New Roman and Courier New.
var kinds = []kind{
	{"sans-serif", "Liberation Sans", "Noto Sans CJK", []string{"DejaVu Sans", "OpenSymbol"}},
	{"serif", "Liberation Serif", "Noto Serif CJK", []string{"DejaVu Serif", "DejaVu Sans", "OpenSymbol"}},
	{"monospace", "Liberation Mono", "Noto Sans Mono CJK", []string{"DejaVu Sans Mono", "DejaVu Sans", "OpenSymbol"}},
}

type kind struct {
	Generic, Latin, CJK string
	Symbols             []string
}

// configuration is what the files of fontconfig are generated from.
type configuration struct {
	mode string
	// faces is the directory of the font set, cache one for fontconfig's use.
	faces, cache string
	// user are the user's directories, office those of LibreOffice, which it reads in any case.
	user, office []string
}

func (c configuration) System() bool                      { return c.mode == System }
func (c configuration) Substitutes() []fontset.Substitute { return fontset.Substitutes() }
func (c configuration) Kinds() []kind                     { return kinds }
func (c configuration) Regions() []region                 { return regions }
func (c configuration) Variants() []string                { return []string{"JP", "KR", "SC", "TC"} }

// WordRules returns a row of the table for each stand-in that has a copy for documents of Word.
func (c configuration) WordRules() []fontset.Substitute {
	seen := map[string]bool{}
	return slices.DeleteFunc(fontset.Substitutes(), func(row fontset.Substitute) bool {
		twice := seen[row.StandIn]
		seen[row.StandIn] = true
		return row.Word == "" || twice
	})
}

// Directories are where fontconfig finds fonts.
func (c configuration) Directories() []string {
	if c.System() {
		return slices.Concat(c.user, c.office)
	}
	return slices.Concat([]string{c.faces}, c.user, systemDirectories, c.office)
}

// Caches are fontconfig's caches; it writes to the first that it can write to.
func (c configuration) Caches() []string {
	if c.System() {
		return []string{c.cache}
	}
	return []string{c.cache, systemCache}
}

// Accepted returns the patterns of files that are used even if they match Rejected. An asterisk also matches slashes.
func (c configuration) Accepted() []string {
	var patterns []string
	for _, directory := range append([]string{c.faces}, c.user...) {
		patterns = append(patterns, directory+"/*")
	}
	if c.mode == BundledAndSystem {
		return patterns
	}
	return append(patterns, c.systemFiles(relied())...)
}

// Rejected are patterns of files that are not used.
func (c configuration) Rejected() []string {
	if c.mode == BundledAndSystem {
		return c.systemFiles(unwanted())
	}
	return c.systemFiles(fontFiles)
}

// systemFiles returns patterns of files in the directories of the system and of LibreOffice.
func (c configuration) systemFiles(names []string) []string {
	var patterns []string
	for _, directory := range slices.Concat(systemDirectories, c.office) {
		for _, name := range names {
			patterns = append(patterns, directory+"/"+name, directory+"/*/"+name)
		}
	}
	return patterns
}

// file executes the template name.tmpl and returns the result.
func (c configuration) file(name string) (string, error) {
	files, err := template.New("").Funcs(template.FuncMap{"xml": escapeXML}).ParseFS(templateFiles, "*.tmpl")
	if err != nil {
		return "", fmt.Errorf("read the templates of fontconfig's files: %w", err)
	}
	var b strings.Builder
	if err := files.ExecuteTemplate(&b, name+".tmpl", c); err != nil {
		return "", fmt.Errorf("generate %s: %w", name, err)
	}
	return b.String(), nil
}

func escapeXML(text string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(text))
	return b.String(), err
}
