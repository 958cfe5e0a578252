package webhook

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/delivery"
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
		err := guardian(allow, []uint16{443})(network, net.JoinHostPort(address, "443"), nil)
		require.Equal(t, want, err == nil, "%s: %v", address, err)
	}
}

// TestPorts requires that clients cannot find out which ports of others are open.
func TestPorts(t *testing.T) {
	t.Parallel()
	allow, err := parseAllowed([]string{"10.1.0.0/16", "fd00:1::/32", "198.51.100.7"})
	require.NoError(t, err)
	guard := guardian(allow, []uint16{80, 443})
	for address, want := range map[string]bool{
		"8.8.8.8:80": true, "8.8.8.8:443": true, "8.8.8.8:22": false, "8.8.8.8:8443": false, "[2606:4700::1111]:443": true, "[2606:4700::1111]:25": false,
		"10.1.2.3:8443": true, "[fd00:1::1]:9000": true, "198.51.100.7:1": true, "10.2.0.1:443": false,
	} {
		network := "tcp4"
		if address[0] == '[' {
			network = "tcp6"
		}
		err := guard(network, address, nil)
		require.Equal(t, want, err == nil, "%s: %v", address, err)
		if !want {
			require.Equal(t, delivery.Unreachable, faultOf(err), "%s: %v", address, err)
		}
	}
}
