package command_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestServeStops checks that a server exits with code 0 when it is stopped by SIGTERM.
func TestServeStops(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cmd := b.command(t, "serve", "--data=data", "--address=127.0.0.1:0", "--admin-address=127.0.0.1:0", "--log-level=error")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	greeting, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, greeting, "ready")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}

// TestBlockedReads stops the program while it waits for a document: on a silent pipe, and on a FIFO without a writer.
func TestBlockedReads(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"stdin": {"convert", "-", "-o", "a.pdf"}, "fifo": {"convert", "fifo", "-o", "a.pdf"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := withServer(t)
			require.NoError(t, syscall.Mkfifo(filepath.Join(b.dir, "fifo"), 0o600))
			cmd := b.command(t, args...)
			silent, err := cmd.StdinPipe()
			require.NoError(t, err)
			defer silent.Close()
			require.NoError(t, cmd.Start())
			stop(t, cmd, syscall.SIGINT)
			require.Equal(t, 130, cmd.ProcessState.ExitCode())
			require.Equal(t, []string{"fifo"}, b.files(t, "."))
		})
	}
}

// stop waits until the program handles a signal, and sends it.
func stop(t *testing.T, cmd *exec.Cmd, signal syscall.Signal) {
	t.Helper()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	time.Sleep(time.Second) // there is no event when a read blocks
	require.NoError(t, cmd.Process.Signal(signal))
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatal("it did not stop")
	}
}

// TestClosedPipe closes the standard output after the first line: the program removes its temporary files, and ends as if
// by SIGPIPE.
func TestClosedPipe(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	names := []string{}
	for i := range 30 {
		names = append(names, "in/"+string(rune('a'+i))+".docx")
	}
	b.put(t, "synth-three-pages.docx", names...)
	cmd := b.command(t, "convert", "in", "-o", "out", "--json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout = write
	require.NoError(t, cmd.Start())
	require.NoError(t, write.Close())
	_, err = read.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, read.Close())
	_ = cmd.Wait()
	require.Equal(t, 141, cmd.ProcessState.ExitCode(), &stderr)
	require.Less(t, len(b.files(t, "out")), len(names))
	b.requireClean(t)
}

// TestWatchHere watches a directory through a link, without a server. It checks that links in the directory are not
// followed, and that the files of jobs are removed when the jobs have ended.
func TestWatchHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put(t, "synth-three-pages.docx", "real/a.docx")
	b.put(t, "synth-letter.odt", "real/a.odt", "private.odt")
	require.NoError(t, os.Symlink("real", filepath.Join(b.dir, "in")))
	require.NoError(t, os.Symlink("../private.odt", filepath.Join(b.dir, "real", "b.odt")))
	cmd := b.command(t, "convert", "--watch", "in", "-o", "out")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(stdout)
	for range 2 {
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		sources, _ := filepath.Glob(filepath.Join(b.temporary, "docmill-local-*", "*", "data", "sources", "*.*"))
		results, _ := filepath.Glob(filepath.Join(b.temporary, "docmill-local-*", "*", "data", "results", "*.*"))
		return len(sources)+len(results) == 0
	}, 20*time.Second, 50*time.Millisecond)
	b.put(t, "synth-letter.odt", "real/c.odt")
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "in/c.odt -> out/c.pdf")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_, _ = io.Copy(io.Discard, lines)
	_ = cmd.Wait()
	require.Equal(t, 143, cmd.ProcessState.ExitCode())
	require.Equal(t, []string{"a.docx.pdf", "a.odt.pdf", "c.pdf"}, b.files(t, "out"))
	b.requireClean(t)

	again := b.command(t, "convert", "--watch", "in", "-o", "out")
	stderr, err := again.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, again.Start())
	notes := bufio.NewReader(stderr)
	for _, want := range []string{"watching in", "in/a.docx: left out, because out/a.docx.pdf is newer"} {
		line, err := notes.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, want)
	}
	require.NoError(t, again.Process.Signal(syscall.SIGTERM))
	_, _ = io.Copy(io.Discard, notes)
	require.Error(t, again.Wait())
}
