package sqlitequeue_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// childVariable names the role that the test binary plays as a child process.
const childVariable = "SQLITEQUEUE_TEST_CHILD"

func TestMain(m *testing.M) {
	role, path, _ := strings.Cut(os.Getenv(childVariable), ":")
	switch role {
	case "":
		os.Exit(m.Run())
	case "work":
		work(path)
	case "hang":
		hang(path)
	case "idle":
		idle(path)
	}
}

// child is the test binary in another process, with the lines that it prints.
type child struct {
	command *exec.Cmd
	lines   *bufio.Scanner
}

func startChild(t testing.TB, role, path string) *child {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+role+":"+path)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	return &child{command: command, lines: bufio.NewScanner(output)}
}

// killAfter reads lines, kills the process when there were n, and returns these and those that it had already printed.
func (c *child) killAfter(t testing.TB, n int) []string {
	t.Helper()
	var lines []string
	for c.lines.Scan() {
		lines = append(lines, c.lines.Text())
		if len(lines) == n {
			require.NoError(t, c.command.Process.Kill())
		}
	}
	require.GreaterOrEqual(t, len(lines), n, "the child ended early")
	require.Error(t, c.command.Wait(), "it was killed")
	return lines
}

// printer prints whole lines.
type printer struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *printer) linef(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func command(job string) message.Message {
	return message.Message{JobID: job, Body: &conversionv1.ConvertRequested{
		JobId: job, RequestedAt: timestamppb.Now(), Target: &conversionv1.Target{Format: "pdf"},
		Source: &conversionv1.Source{ObjectKey: job, Filename: "deck.pptx", Format: "pptx", Size: 1, Sha256: make([]byte, 32)},
	}}
}

func progress(job string) message.Message {
	return message.Message{JobID: job, Body: &conversionv1.ConversionStarted{JobId: job, Attempt: 1, StartedAt: timestamppb.Now()}}
}

func between(low, high int) int { return low + rand.IntN(high-low) }
