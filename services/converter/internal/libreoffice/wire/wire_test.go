package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func hello() []byte {
	return builder{kindHello}.number32(Version).number32(7).number32(1).texts("{}")
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		packet []byte
		want   any
	}{
		{hello(), Hello{Landlock: 7, Threads: 1, Office: "{}"}},
		{builder{kindStarted}.number64(3).number32(4), Started{ID: 3, PID: 4}},
		{builder{kindRefused}.number64(3).texts("no"), Refused{ID: 3, Reason: "no"}},
		{
			builder{kindDone}.number64(3).number32(10).number32(9).number64(5).number64(6),
			Done{ID: 3, Outcome: LoadFailed, Signal: 9, PeakMemory: 5, CPU: 6 * time.Microsecond},
		},
		{builder{kindFault}.texts("why\xff"), Fault{Reason: "why\uFFFD"}},
	} {
		got, err := Parse(c.packet)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
		for cut := range c.packet {
			_, err := Parse(c.packet[:cut])
			require.ErrorIs(t, err, ErrMalformed, "the first %d bytes of %T", cut, c.want)
		}
		_, err = Parse(append(c.packet, 0))
		require.ErrorIs(t, err, ErrMalformed, "a byte too many")
	}
}

func TestParseRefusesAnotherVersion(t *testing.T) {
	t.Parallel()
	_, err := Parse(builder{kindHello}.number32(Version + 1).number32(7).number32(1).texts(""))
	require.ErrorContains(t, err, fmt.Sprintf("version %d instead of %d", Version+1, Version))
}

func FuzzParse(f *testing.F) {
	f.Add(hello())
	f.Add([]byte{kindFault, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, packet []byte) {
		message, err := Parse(packet)
		require.Equal(t, err == nil, message != nil)
	})
}

func TestMarshalRejectsInvalidValues(t *testing.T) {
	t.Parallel()
	_, err := Convert{Directory: "a\x00b"}.Marshal()
	require.ErrorIs(t, err, ErrMalformed)
	_, err = Convert{SaveOptions: strings.Repeat("x", MaxPacket)}.Marshal()
	require.ErrorIs(t, err, ErrMalformed)
	none, err := Convert{}.Marshal()
	require.NoError(t, err)
	empty := ""
	some, err := Convert{Password: &empty}.Marshal()
	require.NoError(t, err)
	require.NotEqual(t, none, some, "no password and an empty one")
}

func TestReports(t *testing.T) {
	t.Parallel()
	type step struct {
		phase   Phase
		percent int
	}
	for name, c := range map[string]struct {
		pipe        string
		steps       []step
		explanation string
		bad         bool
	}{
		"nothing":        {},
		"progress":       {pipe: "\x01\x00\x00\x00\x02\x32\x00\x00\x02\xff\x00\x00", steps: []step{{Loading, 0}, {Saving, 50}, {Saving, 100}}},
		"an explanation": {pipe: "\x03\x00\x02\x00no", explanation: "no"},
		"half a head":    {pipe: "\x01\x00", bad: true},
		"half a text":    {pipe: "\x03\x00\x02\x00n", bad: true},
		"another kind":   {pipe: "\x09\x00\x00\x00", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var steps []step
			explanation, err := Reports(strings.NewReader(c.pipe), func(phase Phase, percent int) { steps = append(steps, step{phase, percent}) })
			require.Equal(t, c.explanation, explanation)
			require.Equal(t, c.steps, steps)
			if c.bad {
				require.ErrorIs(t, err, ErrMalformed)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestReportsAreLimited(t *testing.T) {
	t.Parallel()
	_, err := Reports(bytes.NewReader(bytes.Repeat([]byte{1, 0, 0, 0}, maxReports+1)), func(Phase, int) {})
	require.ErrorIs(t, err, ErrMalformed)
}
