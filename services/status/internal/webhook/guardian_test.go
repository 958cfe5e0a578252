package webhook

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPublicAddresses requires that receivers on the public internet are reached, without connecting to any.
func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	allow, err := parseAllowed([]string{"10.1.0.0/16", "fd00:1::/32"})
	require.NoError(t, err)
	for address, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "2a00:1450:4001::1": true,
		"10.1.2.3": true, "10.2.0.1": false, "fd00:1::1": true, "fd00:2::1": false,
	} {
		network := "tcp4"
		if net.ParseIP(address).To4() == nil {
			network = "tcp6"
		}
		err := guardian(allow).Safe(network, net.JoinHostPort(address, "8443"), nil)
		require.Equal(t, want, err == nil, "%s: %v", address, err)
	}
}
