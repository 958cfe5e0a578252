package officefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The numbers of MS-CFB, the specification of the compound file (OLE2).
const (
	headerSize       = 512
	headerFATs       = 109 // sectors of the allocation table that the header itself lists
	entrySize        = 128
	miniSectorSize   = 64
	miniStreamCutoff = 4096 // smaller streams are in the mini stream
	lastSector       = 0xFFFFFFFA
	endOfChain       = 0xFFFFFFFE
	noEntry          = 0xFFFFFFFF

	streamEntry = 2
	rootEntry   = 5

	// maxEntries bounds the directory (8 MiB). A document with 1000 embedded objects has about 10,000.
	maxEntries = 1 << 16
)

var errCompound = errors.New("not a sound compound file")

// Compound is the top level of a compound file: the container of the binary formats of Office and of its encrypted
// documents. It is for one goroutine at a time.
//
// It is our own reader because github.com/richardlehane/mscfb v1.0.9, the one maintained one, keeps the whole path of
// each entry: storages nested 8000 deep, 1 MB, made it allocate 517 MiB. This one enters no storage, so its work is
// bounded by the length of the directory and by its window.
type Compound struct {
	w          *Window
	budget     *Budget
	header     [headerSize]byte
	sectorSize int64
	sectors    int64 // of the whole file; no chain is longer
	// fats are the sectors of the allocation table that are known so far; nextList lists the next ones.
	fats     []uint32
	nextList uint32
	root     compoundEntry
	// mini and miniTable are walks along the chains of the mini stream and of its allocation table.
	mini, miniTable walk
	// top has the streams and storages of the top level by name, in upper case: MS-CFB 2.6.4 compares them so.
	top map[string]compoundEntry
}

type compoundEntry struct {
	kind  byte
	start uint32
	size  int64
}

// OpenCompound reads the header and the directory of a compound file.
func OpenCompound(w *Window) (*Compound, error) {
	c := &Compound{w: w, budget: w.budget, top: map[string]compoundEntry{}}
	if _, err := w.ReadAt(c.header[:], 0); err != nil {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	shift := binary.LittleEndian.Uint16(c.header[30:])
	if shift != 9 && shift != 12 {
		return nil, fmt.Errorf("%w: sectors of 2^%d bytes", errCompound, shift)
	}
	c.sectorSize = 1 << shift
	c.sectors = w.size/c.sectorSize + 1
	for i := range headerFATs {
		c.fats = append(c.fats, c.headerField(76+4*i))
	}
	c.nextList = c.headerField(68)
	directory, err := c.directory()
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	if err := c.readTop(directory); err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	c.mini, c.miniTable = walk{start: c.root.start}, walk{start: c.headerField(60)}
	return c, nil
}

// Has reports whether the top level has a stream or storage of this name.
func (c *Compound) Has(name string) bool {
	_, ok := c.top[strings.ToUpper(name)]
	return ok
}

// Head returns up to limit bytes of the beginning of a stream of the top level: of a broken one what could be read,
// of a missing one nothing.
func (c *Compound) Head(name string, limit int) []byte {
	entry, ok := c.top[strings.ToUpper(name)]
	if !ok || entry.kind != streamEntry {
		return nil
	}
	head := make([]byte, min(int64(limit), entry.size, c.w.size))
	var n int
	if entry.size < miniStreamCutoff {
		n = c.readMini(head, entry.start)
	} else {
		n = c.readSectors(head, entry.start)
	}
	return head[:n]
}

func (c *Compound) headerField(offset int) uint32 {
	return binary.LittleEndian.Uint32(c.header[offset:])
}

// directory returns the raw entries of the directory.
func (c *Compound) directory() ([]byte, error) {
	var raw []byte
	sector := make([]byte, c.sectorSize)
	for s, err := range c.chain(c.headerField(48)) {
		if err != nil {
			return nil, err
		}
		n, err := c.w.ReadAt(sector, c.offset(s))
		if err != nil && (n == 0 || !errors.Is(err, io.EOF)) { // some writers cut the last sector short
			return nil, fmt.Errorf("sector %d: %w", s, err)
		}
		clear(sector[n:])
		if raw = append(raw, sector...); len(raw) > maxEntries*entrySize {
			return nil, fmt.Errorf("%w: more than %d entries", errCompound, maxEntries)
		}
	}
	if len(raw) == 0 || raw[66] != rootEntry {
		return nil, fmt.Errorf("%w: no root", errCompound)
	}
	return raw, nil
}

// readTop finds the entries of the top level: the tree of siblings under the root.
func (c *Compound) readTop(directory []byte) error {
	c.root = entryAt(directory, 0)
	count := len(directory) / entrySize
	visited := make([]bool, count)
	visited[0] = true
	for pending := []uint32{binary.LittleEndian.Uint32(directory[76:])}; len(pending) > 0; {
		i := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if i == noEntry {
			continue
		}
		if int64(i) >= int64(count) {
			return fmt.Errorf("%w: entry %d of %d", errCompound, i, count)
		}
		if visited[i] {
			continue
		}
		visited[i] = true
		if err := c.budget.Spend(costEntry); err != nil {
			return err
		}
		raw := directory[int(i)*entrySize:]
		c.top[strings.ToUpper(entryName(raw))] = entryAt(directory, i)
		pending = append(pending, binary.LittleEndian.Uint32(raw[68:]), binary.LittleEndian.Uint32(raw[72:]))
	}
	return nil
}

func entryAt(directory []byte, i uint32) compoundEntry {
	raw := directory[int(i)*entrySize:]
	return compoundEntry{
		kind:  raw[66],
		start: binary.LittleEndian.Uint32(raw[116:]),
		// The upper half of the size may be garbage in files of version 3. No caller reads more than 8 MiB of a stream.
		size: int64(binary.LittleEndian.Uint32(raw[120:])),
	}
}

func entryName(raw []byte) string {
	return UTF16(raw[:min(int(binary.LittleEndian.Uint16(raw[64:])), 64)])
}

func (c *Compound) readSectors(p []byte, start uint32) int {
	n := 0
	for s, err := range c.chain(start) {
		if err != nil || n == len(p) {
			break
		}
		m, err := c.w.ReadAt(p[n:min(len(p), n+int(c.sectorSize))], c.offset(s))
		if n += m; err != nil {
			break
		}
	}
	return n
}

// readMini reads a stream that is kept in pieces of 64 bytes in the stream of the root.
func (c *Compound) readMini(p []byte, start uint32) int {
	n := 0
	for s := start; n < len(p) && s < lastSector; {
		position := int64(s) * miniSectorSize
		sector, err := c.nth(&c.mini, position/c.sectorSize)
		if err != nil {
			break
		}
		m, err := c.w.ReadAt(p[n:min(len(p), n+miniSectorSize)], c.offset(sector)+position%c.sectorSize)
		if n += m; err != nil {
			break
		}
		// The allocation table of the mini stream is a chain of sectors, too.
		table, err := c.nth(&c.miniTable, int64(s)*4/c.sectorSize)
		if err != nil {
			break
		}
		if s, err = c.number(c.offset(table) + int64(s)*4%c.sectorSize); err != nil {
			break
		}
	}
	return n
}

// walk is a place in a chain that was reached before: the next one is mostly there or not far behind.
type walk struct {
	start uint32
	// sector is at place, once begun.
	sector uint32
	place  int64
	begun  bool
}

// nth returns the sector at a place of a chain.
func (c *Compound) nth(w *walk, place int64) (uint32, error) {
	if !w.begun || place < w.place {
		*w = walk{start: w.start, sector: w.start, begun: true}
	}
	if place >= c.sectors {
		return 0, fmt.Errorf("%w: a chain is too short", errCompound)
	}
	for w.place < place {
		next, err := c.next(w.sector)
		if err != nil {
			return 0, err
		}
		w.sector, w.place = next, w.place+1
	}
	if w.sector > lastSector {
		return 0, fmt.Errorf("%w: a chain is too short", errCompound)
	}
	return w.sector, nil
}

// chain walks the sectors of a chain until its end or an error.
func (c *Compound) chain(start uint32) func(yield func(uint32, error) bool) {
	return func(yield func(uint32, error) bool) {
		s := start
		for range c.sectors {
			if s == endOfChain || !yield(s, nil) {
				return
			}
			var err error
			if s, err = c.next(s); err != nil {
				yield(0, err)
				return
			}
		}
		yield(0, fmt.Errorf("%w: a chain of sectors runs in a circle", errCompound))
	}
}

func (c *Compound) next(sector uint32) (uint32, error) {
	if sector > lastSector {
		return 0, fmt.Errorf("%w: sector %#x", errCompound, sector)
	}
	perSector := c.sectorSize / 4
	fat, err := c.fatSector(int64(sector) / perSector)
	if err != nil {
		return 0, err
	}
	return c.number(c.offset(fat) + int64(sector)%perSector*4)
}

// fatSector returns the i-th sector of the allocation table. Those beyond the header's are listed by a chain of their
// own, which is read as far as needed.
func (c *Compound) fatSector(i int64) (uint32, error) {
	if i >= c.sectors {
		return 0, fmt.Errorf("%w: its allocation table is larger than itself", errCompound)
	}
	if i < int64(len(c.fats)) {
		return c.fats[i], nil // without an allocation: each step along a chain comes here
	}
	raw := make([]byte, c.sectorSize)
	for int64(len(c.fats)) <= i {
		if c.nextList > lastSector {
			return 0, fmt.Errorf("%w: its allocation table is too short", errCompound)
		}
		if _, err := c.w.ReadAt(raw, c.offset(c.nextList)); err != nil {
			return 0, fmt.Errorf("sector %d: %w", c.nextList, err)
		}
		last := len(raw) - 4
		for j := 0; j < last; j += 4 {
			c.fats = append(c.fats, binary.LittleEndian.Uint32(raw[j:]))
		}
		c.nextList = binary.LittleEndian.Uint32(raw[last:])
	}
	return c.fats[i], nil
}

func (c *Compound) offset(sector uint32) int64 {
	return (int64(sector) + 1) * c.sectorSize
}

func (c *Compound) number(offset int64) (uint32, error) {
	var raw [4]byte
	if _, err := c.w.ReadAt(raw[:], offset); err != nil {
		return 0, fmt.Errorf("allocation table: %w", err)
	}
	return binary.LittleEndian.Uint32(raw[:]), nil
}
