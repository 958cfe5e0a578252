package detect

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/internal/officetest"
	"github.com/docmill/docmill/contract/officefile"
)

// maxCPU is what no document of up to 1 MiB may cost a core.
const maxCPU = 100 * time.Millisecond

// measurement is in the environment of the process that measures.
const measurement = "DOCMILL_MEASURE_DETECTION"

// cost is what the detection of a hostile document took.
type cost struct {
	CPU       time.Duration `json:"cpu"`
	Allocated uint64        `json:"allocated"`
	Units     int64         `json:"units"`
	Reads     int64         `json:"reads"`
	// Failure is the error if it is not a refusal.
	Failure string `json:"failure"`
}

// TestHostileDocumentsAreCheap: no hostile document takes more work than the budget allows, and that is worth no more
// than 100 ms. The time is the processor time of a process of its own, garbage collection included, which other load
// on the machine hardly changes.
func TestHostileDocumentsAreCheap(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "costs")
	require.NoError(t, err)
	defer file.Close()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMeasure$")
	command.Env = append(os.Environ(), measurement+"=1")
	command.ExtraFiles = []*os.File{file}
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	_, err = file.Seek(0, io.SeekStart)
	require.NoError(t, err)
	var costs map[string]cost
	require.NoError(t, json.NewDecoder(file).Decode(&costs))
	require.NotEmpty(t, costs)
	for does, c := range costs {
		t.Logf("%6.1f ms %6.1f MiB %9d units: %s", c.CPU.Seconds()*1000, float64(c.Allocated)/(1<<20), c.Units, does)
		assert.LessOrEqual(t, c.Units, int64(maxUnits+maxUnits/10), "%s, with the last charge", does)
		assert.LessOrEqual(t, c.Reads, int64(maxFetches), does)
		assert.Less(t, c.Allocated, uint64(64<<20), does)
		assert.Empty(t, c.Failure, does)
		if !raceDetector { // it makes everything ten times slower
			assert.Less(t, c.CPU, maxCPU, does)
		}
	}
}

// TestMeasure is run by TestHostileDocumentsAreCheap in a process of its own. It takes the best of three times,
// because a neighbor on the same core costs time, too.
func TestMeasure(t *testing.T) { //nolint:paralleltest // alone by intent
	if os.Getenv(measurement) == "" {
		t.Skip("run by TestHostileDocumentsAreCheap")
	}
	costs, rounds := map[string]cost{}, 3
	if raceDetector {
		rounds = 1
	}
	sources := map[string]*sparse{}
	for does, data := range officetest.Hostile(t) {
		sources[does] = &sparse{head: data, size: int64(len(data))}
	}
	const large = 128 << 20
	sources["pieces at both ends of a long circle"] = &sparse{head: officetest.Alternating(large), size: large}
	for does, source := range sources {
		best := cost{CPU: time.Hour}
		for range rounds {
			runtime.GC()
			c := &counter{ReaderAt: source}
			cpu, allocated := spent(t)
			_, units, err := DefaultLimits().detect(t.Context(), c, source.size, "document.docx")
			after, allocatedAfter := spent(t)
			best = cost{
				CPU: min(best.CPU, after-cpu), Allocated: allocatedAfter - allocated, Units: units, Reads: c.Reads.Load(),
			}
			if _, refused := errors.AsType[*Refusal](err); err != nil && !refused {
				best.Failure = err.Error()
			}
		}
		costs[does] = best
	}
	require.NoError(t, json.NewEncoder(os.NewFile(3, "costs")).Encode(costs))
}

func spent(t *testing.T) (cpu time.Duration, allocated uint64) {
	t.Helper()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), memory.TotalAlloc
}

// TestManyRecords: a package of 512 MiB that claims to have millions of entries is refused before there is memory for
// them.
func TestManyRecords(t *testing.T) {
	t.Parallel()
	const size = 512 << 20
	source := &sparse{head: []byte("PK\x03\x04"), size: size, tail: officetest.Zip64(17_000_000, size)}
	_, err := Detect(t.Context(), source, size, "document.docx")
	requireReason(t, Damaged, err)
	require.ErrorContains(t, errors.Unwrap(err), "17000000 entries")
	require.LessOrEqual(t, source.read, 3*officefile.BlockSize)
}

// sparse is a document of zeros but for its ends.
type sparse struct {
	head, tail []byte
	size       int64
	read       int
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	s.read += len(p)
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	if at := s.size - int64(len(s.tail)) - off; at < int64(len(p)) && at >= 0 {
		copy(p[at:], s.tail)
	}
	return len(p), nil
}
