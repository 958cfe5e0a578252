// Package fonts determines which fonts LibreOffice uses: a [Set] is the font set of Docmill with a configuration of fontconfig,
// and a [Library] reports which fonts are installed, and which ones are used in place of others.
//
// A Library queries fontconfig, as LibreOffice does: with fc-list every few minutes, and fc-match once for each name. Each
// takes 5 ms.
package fonts

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	fontset "github.com/docmill/docmill/fonts"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

const (
	// maxAge is how long a list of fonts is used. A loaded LibreOffice does not see new fonts; its successor does.
	maxAge = 10 * time.Minute
	// maxKnown bounds the memory for font names that documents contain.
	maxKnown = 10_000
	// maxName is the length of the longest name that is looked up, in bytes. The longest of Google's 2,900 families has
	// 37.
	maxName = 128
	// maxList bounds the bytes that are read of fc-list's output: a line takes 120 bytes, so 60,000 fonts.
	maxList = 8 << 20
	// maxIndex is the largest index of a font in a collection. Fontconfig counts the instances of variable fonts above it.
	maxIndex = 0xffff
	// maxMatch bounds the bytes that are read of fc-match's output.
	maxMatch = 4 << 10
)

// Library has the fonts of this machine. It is safe for concurrent use.
type Library struct {
	list, match sandbox.Program
	directory   string
	environment []string
	log         *zap.Logger
	fonts       aged[*catalog]
	coverage    aged[coverage]
}

// catalog is what is installed. It is safe for concurrent use.
type catalog struct {
	// families has the keys of all names of all families.
	families map[string]bool
	// byPostScript has the fonts by their PostScript names.
	byPostScript map[string]installed

	mu sync.Mutex
	// substitutes are the families that are used for others, by the key of those; it has those that were looked up.
	substitutes map[string]string
}

// installed is a font that is installed.
type installed struct {
	family, file string
	// index is that of the font in a collection.
	index int
}

// limits are far above what fontconfig's programs need.
var limits = sandbox.Limits{Time: 20 * time.Second, Memory: 512 << 20}

// Programs returns the programs that this package needs.
func Programs() []sandbox.Tool {
	const fontconfig = "fontconfig"
	return []sandbox.Tool{{Name: "fc-list", Package: fontconfig}, {Name: "fc-match", Package: fontconfig}}
}

// Open finds fontconfig's programs on the search path. directory is where they may keep files. They use the fonts of a set;
// nil is the system's.
func Open(directory string, fonts *Set, log *zap.Logger) (*Library, error) {
	programs, err := sandbox.FindAll(Programs()...)
	if err != nil {
		return nil, err
	}
	environment := []string{"LANG=C.UTF-8", "PATH=/usr/bin:/bin", "XDG_CACHE_HOME=" + directory}
	return &Library{
		list: programs[0], match: programs[1], directory: directory, log: log,
		environment: append(environment, fonts.Environment()...),
	}, nil
}

// Key returns what all spellings of a family's name have in common.
func Key(family string) string { return fontset.Key(family) }

// Has reports whether a family is installed.
func (l *Library) Has(ctx context.Context, family string) bool {
	installed := l.current(ctx)
	return installed != nil && installed.families[Key(family)]
}

// Family returns the family of the font with a PostScript name. For the copy of a stand-in for Word documents, it returns
// the stand-in. For a font that is not installed, it returns the part of the name before the style.
func (l *Library) Family(postScript string) string {
	if font, found := l.fonts.last().font(postScript); found {
		return fontset.StandIn(font.family)
	}
	family, _, _ := strings.Cut(postScript, "-")
	return family
}

// symbols are the keys of the fonts whose characters LibreOffice takes from its own symbol font if they are not
// installed, regardless of fontconfig (unotools/source/misc/fontcvt.cxx).
var symbols = map[string]bool{
	"symbol": true, "wingdings": true, "wingdings2": true, "wingdings3": true, "webdings": true, "zapfdingbats": true,
	"itczapfdingbats": true, "monotypesorts": true, "starsymbol": true, "starbats": true, "starmath": true, "mtextra": true,
	"standardsymbolsl": true, "adobesymbol": true,
}

// Substitute returns the family that is used for one that is not installed; empty if that is not known.
func (l *Library) Substitute(ctx context.Context, family string) string {
	key := Key(family)
	if symbols[key] {
		return "OpenSymbol"
	}
	installed := l.current(ctx)
	substitute, known := installed.substitute(key)
	if known || key == "" || len(family) > maxName {
		return substitute
	}
	lines, err := l.run(ctx, l.match, maxMatch, "--format", "%{family[0]}\n", escape(family))
	if err != nil {
		l.log.Warn("font substitution lookup failed", zap.Error(err))
		return ""
	}
	installed.know(key, lines[0])
	return lines[0]
}

// substitute returns what is used for a family, if that was looked up.
func (c *catalog) substitute(key string) (family string, known bool) {
	if c == nil {
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	family, known = c.substitutes[key]
	return family, known
}

// know keeps what is used for a family.
func (c *catalog) know(key, substitute string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.substitutes) >= maxKnown {
		clear(c.substitutes)
	}
	c.substitutes[key] = substitute
}

// LastResort returns the family that is used for an unknown name.
func (l *Library) LastResort(ctx context.Context) string {
	return l.Substitute(ctx, "no family has this name")
}

// current returns what is installed, at most maxAge old; nil if fontconfig never worked.
func (l *Library) current(ctx context.Context) *catalog {
	return l.fonts.get(ctx, func() (*catalog, error) {
		lines, err := l.run(ctx, l.list, maxList, "--format", "%{family}\t%{postscriptname}\t%{index}\t%{file}\n")
		if err != nil {
			l.log.Error("cannot list the installed fonts", zap.Error(err))
			return nil, err
		}
		return parse(lines), nil
	})
}

// parse parses lines of a family's names, separated by commas, a PostScript name, the index in a collection and the file, with
// tabs between them. The first name is the family's.
func parse(lines []string) *catalog {
	c := &catalog{families: map[string]bool{}, byPostScript: map[string]installed{}, substitutes: map[string]string{}}
	for _, line := range lines {
		families, rest, _ := strings.Cut(line, "\t")
		postScript, rest, _ := strings.Cut(rest, "\t")
		index, file, _ := strings.Cut(rest, "\t")
		first, _, _ := strings.Cut(families, ",")
		number, err := strconv.Atoi(index)
		if err != nil || number > maxIndex { // an instance of a variable font
			number, file = 0, ""
		}
		if known := c.byPostScript[postScript]; known.file == "" {
			c.byPostScript[postScript] = installed{family: first, file: file, index: number}
		}
		for family := range strings.SplitSeq(families, ",") {
			c.families[Key(family)] = true
		}
	}
	return c
}

// run returns the lines that a program of fontconfig's prints.
func (l *Library) run(ctx context.Context, program sandbox.Program, limit int, arguments ...string) ([]string, error) {
	output, err := program.Output(ctx, limit, sandbox.Command{Args: arguments, Env: l.environment, Dir: l.directory, Limits: limits})
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(output, "\n"), "\n"), nil
}

// escaper escapes names in fontconfig's patterns.
var escaper = strings.NewReplacer(`\`, `\\`, `-`, `\-`, `:`, `\:`, `,`, `\,`, "\x00", "")

// escape escapes what has a meaning in fontconfig's patterns.
func escape(name string) string {
	return escaper.Replace(name)
}
