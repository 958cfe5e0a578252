package fonts

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Heights are how far a font's lines reach above and below the baseline, in thousandths of its size.
type Heights struct{ Ascent, Descent int }

// Heights returns the heights of the font with a PostScript name, as LibreOffice lays out its lines; false if it is not installed or
// has none. The result may be up to 10 minutes old.
func (l *Library) Heights(ctx context.Context, postScript string) (Heights, bool) {
	installed, found := l.current(ctx).font(postScript)
	if !found {
		return Heights{}, false
	}
	file, err := os.Open(installed.file)
	if err != nil {
		return Heights{}, false
	}
	defer file.Close()
	heights, err := readHeights(file, installed.index)
	return heights, err == nil
}

// font returns the font with a PostScript name. LibreOffice 7.4 writes the name of the outlines of a collection of Noto CJK, which
// continues its PostScript name: NotoSansCJKjp-Regular-VKana.
func (c *catalog) font(postScript string) (installed, bool) {
	if c == nil {
		return installed{}, false
	}
	if font, found := c.byPostScript[postScript]; found {
		return font, true
	}
	end := strings.LastIndexByte(postScript, '-')
	font, found := c.byPostScript[postScript[:max(end, 0)]]
	return font, found
}

// errTables means that a file is not a font with the tables that are needed.
var errTables = errors.New("not a font with metrics")

// maxTables is how many tables of a font are looked at. Fonts have up to 30.
const maxTables = 100

// readHeights reads the heights of a font of an OpenType file or collection, as LibreOffice does: those of the table hhea, unless OS/2
// says that its typographic ones are to be used, and those of Windows if hhea has none.
func readHeights(file io.ReaderAt, index int) (Heights, error) {
	offsets, err := tables(file, index)
	if err != nil {
		return Heights{}, err
	}
	number := func(table string, offset int64) int {
		var content [2]byte
		if at, found := offsets[table]; !found {
			err = errTables
		} else if _, failed := file.ReadAt(content[:], at+offset); failed != nil {
			err = failed
		}
		return int(int16(binary.BigEndian.Uint16(content[:])))
	}
	const unitsPerEm, hheaAscent, hheaDescent = 18, 4, 6
	const selection, typoAscent, typoDescent, winAscent, winDescent = 62, 68, 70, 74, 76
	const useTypo = 1 << 7
	units, ascent, descent := number("head", unitsPerEm), number("hhea", hheaAscent), number("hhea", hheaDescent)
	switch {
	case number("OS/2", selection)&useTypo != 0:
		ascent, descent = number("OS/2", typoAscent), number("OS/2", typoDescent)
	case ascent == 0 && descent == 0:
		ascent, descent = number("OS/2", winAscent), -number("OS/2", winDescent)
	}
	if err != nil || units <= 0 || ascent <= 0 || descent > 0 {
		return Heights{}, errors.Join(errTables, err)
	}
	const thousand = 1000
	return Heights{Ascent: ascent * thousand / units, Descent: descent * thousand / units}, nil
}

// tables returns where the tables of a font begin.
func tables(file io.ReaderAt, index int) (map[string]int64, error) {
	var start int64
	head := make([]byte, 12)
	if _, err := file.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("read a font: %w", err)
	}
	if string(head[:4]) == "ttcf" {
		if index < 0 || index >= int(binary.BigEndian.Uint32(head[8:])) {
			return nil, errTables
		}
		if _, err := file.ReadAt(head[:4], 12+4*int64(index)); err != nil {
			return nil, fmt.Errorf("read a collection of fonts: %w", err)
		}
		start = int64(binary.BigEndian.Uint32(head))
		if _, err := file.ReadAt(head, start); err != nil {
			return nil, fmt.Errorf("read a font of a collection: %w", err)
		}
	}
	const entry = 16
	directory := make([]byte, entry*min(int(binary.BigEndian.Uint16(head[4:])), maxTables))
	if _, err := file.ReadAt(directory, start+int64(len(head))); err != nil {
		return nil, fmt.Errorf("read the tables of a font: %w", err)
	}
	offsets := map[string]int64{}
	for at := 0; at < len(directory); at += entry {
		offsets[string(directory[at:at+4])] = int64(binary.BigEndian.Uint32(directory[at+8:]))
	}
	return offsets, nil
}
