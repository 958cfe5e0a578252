package port_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/port"
)

func TestFreePortsDifferAndAreFree(t *testing.T) {
	t.Parallel()
	ports, err := port.Free(20)
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, one := range ports {
		require.False(t, seen[one])
		seen[one] = true
		require.Less(t, one, 32768, "the ephemeral range starts there")
	}
}

func TestTakenPortIsNotFree(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	taken := listener.Addr().(*net.TCPAddr).Port
	require.False(t, port.IsFree(taken))
	require.NoError(t, listener.Close())
}
