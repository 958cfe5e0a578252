package fonts

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// font returns a font of 2000 units with these heights, and a flag for the use of the typographic ones.
func font(hhea, typo, windows Heights, useTypo bool) []byte {
	out := []byte("\x00\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00")
	const directory, size = 12 + 3*16, 100
	for i, name := range []string{"head", "hhea", "OS/2"} {
		out = append(out, name...)
		for _, n := range []uint32{0, uint32(directory + i*size), size} {
			out = binary.BigEndian.AppendUint32(out, n)
		}
	}
	tables := make([]byte, 3*size)
	put := func(table, offset, value int) { binary.BigEndian.PutUint16(tables[table*size+offset:], uint16(value)) }
	put(0, 18, 2000)
	put(1, 4, hhea.Ascent)
	put(1, 6, hhea.Descent)
	put(2, 68, typo.Ascent)
	put(2, 70, typo.Descent)
	put(2, 74, windows.Ascent)
	put(2, 76, -windows.Descent)
	if useTypo {
		put(2, 62, 1<<7)
	}
	return append(out, tables...)
}

func TestReadHeights(t *testing.T) {
	t.Parallel()
	one, two, three := Heights{1000, -200}, Heights{1200, -400}, Heights{1400, -600}
	for name, c := range map[string]struct {
		font []byte
		want Heights
	}{
		"hhea":        {font(one, two, three, false), Heights{500, -100}},
		"typographic": {font(one, two, three, true), Heights{600, -200}},
		"windows":     {font(Heights{}, two, three, false), Heights{700, -300}},
	} {
		heights, err := readHeights(bytes.NewReader(c.font), 0)
		require.NoError(t, err, name)
		require.Equal(t, c.want, heights, name)
	}
	whole := font(one, two, three, false)
	for n := range whole[:200] {
		_, err := readHeights(bytes.NewReader(whole[:n]), 0)
		require.Error(t, err, n)
	}
	for name, bad := range map[string][]byte{
		"no heights": font(Heights{}, two, Heights{}, false), "upside down": font(Heights{-1, 1}, two, three, false),
		"no tables": []byte("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "no font in it": []byte("ttcf\x00\x00\x00\x00\x00\x00\x00\x00"),
	} {
		_, err := readHeights(bytes.NewReader(bad), 0)
		require.Error(t, err, name)
	}
}

func FuzzReadHeights(f *testing.F) {
	f.Add(font(Heights{1, -1}, Heights{}, Heights{}, false), 0)
	f.Fuzz(func(t *testing.T, content []byte, index int) {
		if heights, err := readHeights(bytes.NewReader(content), index); err == nil {
			require.Positive(t, heights.Ascent-heights.Descent+1)
		}
	})
}
