package libreoffice

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestHugePages checks that the heap and machine code of a zygote with many children are in huge pages.
func TestHugePages(t *testing.T) {
	t.Parallel()
	requireHugePages(t)
	e := setup(t, nil)
	for range 20 {
		_, err := e.Convert(t.Context(), requestFor(t, []byte("text"), "txt"))
		require.NoError(t, err)
	}
	i, err := e.pool.acquire(t.Context())
	require.NoError(t, err)
	defer i.release()
	heap, code := hugePages(t, i.process.PID())
	// Without memory pressure, 36 MiB of the heap are in huge pages (70 MiB with all kinds of documents), and more of the
	// machine code.
	require.Positive(t, heap)
	require.Positive(t, code)
}

// requireHugePages skips the test if this machine cannot collapse memory into a huge page.
func requireHugePages(t *testing.T) {
	t.Helper()
	const size = 4 << 20 // contains a huge page at any alignment
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(memory)) }()
	clear(memory)
	if err := unix.Madvise(memory, unix.MADV_COLLAPSE); err != nil {
		t.Skip("no huge pages on this machine:", err)
	}
}

// hugePages returns how much of a process's heap and how much anonymous machine code are in huge pages, in KiB.
func hugePages(t *testing.T, pid int) (heap, code int) {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	require.NoError(t, err)
	defer file.Close()
	var mapping []string // address range, permissions, offset, device, inode, and a name if it has one
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if !strings.HasSuffix(fields[0], ":") {
			mapping = fields
			continue
		}
		var size int
		if n, _ := fmt.Sscanf(lines.Text(), "AnonHugePages: %d kB", &size); n == 0 {
			continue
		}
		switch {
		case mapping[len(mapping)-1] == "[heap]":
			heap += size
		case mapping[1] == "r-xp":
			code += size
		}
	}
	return heap, code
}
