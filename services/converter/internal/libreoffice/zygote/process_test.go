package zygote

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
)

func start(t *testing.T) *Process {
	t.Helper()
	p, err := Start(t.TempDir(), nil, io.Discard)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Kill()) })
	return p
}

// fault waits for the zygote's last packet.
func fault(t *testing.T, p *Process) string {
	t.Helper()
	buffer := make([]byte, wire.MaxPacket)
	n, err := p.Receive(buffer)
	require.NoError(t, err)
	message, err := wire.Parse(buffer[:n])
	require.NoError(t, err)
	require.IsType(t, wire.Fault{}, message)
	_, err = p.Receive(buffer)
	require.ErrorIs(t, err, io.EOF)
	<-p.Exited()
	require.Error(t, p.Err())
	return message.(wire.Fault).Reason
}

func TestMalformedConfigurationEndsTheZygote(t *testing.T) {
	t.Parallel()
	good, err := wire.Configure{Program: "/nonexistent", Readable: []string{"/"}, Warm: []wire.Warm{{Format: "pdf"}}}.Marshal()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		packet []byte
		want   string
	}{
		"another kind":    {[]byte{99}, "the first packet is not a configuration of version"},
		"another version": {[]byte{1, wire.Version + 1, 0, 0, 0}, "the first packet is not a configuration of version"},
		"cut off":         {good[:len(good)-1], "malformed configuration"},
		"too long":        {append(bytes.Clone(good), 0), "malformed configuration"},
		"a huge string":   {[]byte{1, wire.Version, 0, 0, 0, 255, 255, 255, 255}, "malformed configuration"},
		"no LibreOffice":  {good, "/nonexistent/libmergedlo.so"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			require.NoError(t, p.Send(c.packet, nil))
			require.Contains(t, fault(t, p), c.want)
		})
	}
}

func TestZygoteEndsWithTheSocket(t *testing.T) {
	t.Parallel()
	p := start(t)
	require.NoError(t, p.close())
	<-p.Exited()
	require.NoError(t, p.Err())
}

func TestOnlyStartMakesAZygote(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), variable+"=1")
	output, err := cmd.CombinedOutput()
	require.ErrorContains(t, err, "exit status 2")
	require.Contains(t, string(output), "it is set by docmill itself")
}

func TestKillMayBeRepeated(t *testing.T) {
	t.Parallel()
	p := start(t)
	require.NoError(t, p.Kill())
	require.NoError(t, p.Kill())
	require.Error(t, p.Send([]byte{1}, nil))
}
