// Package fonts knows which fonts LibreOffice finds on this machine, and what it takes in place of those that it does not find.
//
// It asks fontconfig, as LibreOffice does: fc-list once in a while, fc-match once for each name. Each took 5 ms.
package fonts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.uber.org/zap"

	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

const (
	// maxAge is how long a list of fonts is taken for true. A loaded LibreOffice does not see new fonts before its successor.
	maxAge = 10 * time.Minute
	// maxKnown bounds the memory that names of documents' making can take.
	maxKnown = 10_000
	// maxName is the length of the longest name that is asked for, in bytes. The longest of 2,900 families of Google's has 37.
	maxName = 128
	// maxList bounds what is read of fc-list: a line takes 60 bytes, so 100,000 fonts.
	maxList = 8 << 20
)

// Library is the fonts of this machine. It is safe for concurrent use.
type Library struct {
	list, match string
	folder      string
	environment []string
	log         *zap.Logger

	mu     sync.Mutex
	read   time.Time
	fonts  catalogue
	stands map[string]string // by key; what was asked since read
}

// catalogue is what is installed.
type catalogue struct {
	// families has the keys of all names of all families.
	families map[string]bool
	// byPostScript gives the family of a font.
	byPostScript map[string]string
}

// Open finds fontconfig's programs on the search path. folder is where it may keep a file. own are LibreOffice's own folders of
// fonts, which it adds to those of the system; what does not exist is passed over.
func Open(folder string, log *zap.Logger, own ...string) (*Library, error) {
	l := &Library{folder: folder, log: log, environment: []string{"LANG=C.UTF-8", "PATH=/usr/bin:/bin", "XDG_CACHE_HOME=" + folder}}
	for name, path := range map[string]*string{"fc-list": &l.list, "fc-match": &l.match} {
		found, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("%s, which knows the installed fonts, is missing; install fontconfig: %w", name, err)
		}
		*path = found
	}
	var folders strings.Builder
	for _, path := range own {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			fmt.Fprintf(&folders, "<dir>%s</dir>", html.EscapeString(path))
		}
	}
	if folders.Len() > 0 {
		file := filepath.Join(folder, "fonts.conf")
		content := `<?xml version="1.0"?><fontconfig><include>/etc/fonts/fonts.conf</include>` + folders.String() + "</fontconfig>\n"
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("tell fontconfig of LibreOffice's fonts: %w", err)
		}
		l.environment = append(l.environment, "FONTCONFIG_FILE="+file)
	}
	return l, nil
}

// Key is what two ways to write a family's name have in common: fontconfig ignores case and blanks, and PostScript names have
// no blanks.
func Key(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// Has tells whether a family is installed.
func (l *Library) Has(ctx context.Context, family string) bool {
	return l.current(ctx).families[Key(family)]
}

// Family gives the family of a font by its PostScript name. For a font that is not installed it is what the name says: what
// comes before the style.
func (l *Library) Family(postScript string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if family, found := l.fonts.byPostScript[postScript]; found {
		return family
	}
	family, _, _ := strings.Cut(postScript, "-")
	return family
}

// symbols are the fonts whose signs LibreOffice takes from its own when they are not installed, whatever fontconfig says
// (unotools/source/misc/fontcvt.cxx).
func symbols(key string) bool {
	switch key {
	case "symbol", "wingdings", "wingdings2", "wingdings3", "webdings", "zapfdingbats", "itczapfdingbats", "monotypesorts", "starsymbol",
		"starbats", "starmath", "mtextra", "standardsymbolsl", "adobesymbol":
		return true
	default:
		return false
	}
}

// StandIn gives the family that is taken for one that is not installed; empty when that is not known.
func (l *Library) StandIn(ctx context.Context, family string) string {
	l.current(ctx)
	key := Key(family)
	if symbols(key) {
		return "OpenSymbol"
	}
	l.mu.Lock()
	standIn, known := l.stands[key]
	l.mu.Unlock()
	if known || key == "" || len(family) > maxName {
		return standIn
	}
	answers, err := l.ask(ctx, l.match, 4<<10, "--format", "%{family[0]}\n", escape(family))
	if err != nil {
		l.log.Warn("what stands in for a font cannot be told", zap.Error(err))
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.stands) >= maxKnown {
		clear(l.stands)
	}
	l.stands[key] = answers[0]
	return answers[0]
}

// Last gives the family that is taken for a name of which nothing is known.
func (l *Library) Last(ctx context.Context) string { return l.StandIn(ctx, "no family has this name") }

// current gives what is installed, as of some minutes ago. When fontconfig fails, nothing is new.
func (l *Library) current(ctx context.Context) catalogue {
	l.mu.Lock()
	defer l.mu.Unlock() // whoever else needs it waits for this one's reading
	if !l.read.IsZero() && time.Since(l.read) < maxAge {
		return l.fonts
	}
	lines, err := l.ask(ctx, l.list, maxList, "--format", "%{family}\t%{postscriptname}\n")
	if ctx.Err() != nil {
		return l.fonts
	}
	if err != nil {
		l.log.Error("the installed fonts cannot be listed", zap.Error(err))
	} else {
		l.fonts = parse(lines)
	}
	l.read, l.stands = time.Now(), map[string]string{}
	return l.fonts
}

// parse reads lines of a family's names, separated by commas, a tab and a PostScript name. Its first name is the family's.
func parse(lines []string) catalogue {
	c := catalogue{families: map[string]bool{}, byPostScript: map[string]string{}}
	for _, line := range lines {
		families, postScript, _ := strings.Cut(line, "\t")
		first, _, _ := strings.Cut(families, ",")
		c.byPostScript[postScript] = first
		for family := range strings.SplitSeq(families, ",") {
			c.families[Key(family)] = true
		}
	}
	return c
}

// errFailed says that a program of fontconfig's failed.
var errFailed = errors.New("fontconfig failed")

// ask gives the lines that a program of fontconfig's writes. Its complaints are not among them.
func (l *Library) ask(ctx context.Context, program string, most int, arguments ...string) ([]string, error) {
	output := &bounded{most: most}
	exit, err := sandbox.Run(ctx, sandbox.Command{
		Path: program, Args: arguments, Env: l.environment, Dir: l.folder, Stdout: output,
		Limits: sandbox.Limits{Time: 20 * time.Second, Memory: 512 << 20},
	})
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	if exit.Code != 0 {
		return nil, fmt.Errorf("%w: %s ended with %d (signal %d): %s", errFailed, program, exit.Code, exit.Signal, exit.Output)
	}
	return strings.Split(strings.TrimSuffix(output.String(), "\n"), "\n"), nil
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	bytes.Buffer

	// most is in bytes.
	most int
}

// Write takes everything.
func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.most-b.Len())])
	return len(p), nil
}

// escape keeps what means something in fontconfig's patterns from meaning it.
func escape(name string) string {
	return strings.NewReplacer(`\`, `\\`, `-`, `\-`, `:`, `\:`, `,`, `\,`, "\x00", "").Replace(name)
}
