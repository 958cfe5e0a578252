package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// connectTimeout limits the resolution of a name and the handshake of TCP.
const connectTimeout = 5 * time.Second

// alsoDenied are addresses in public networks that belong to the cloud in which a machine runs.
var alsoDenied = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's wire server
}

// guardian returns a function for net.Dialer.Control that refuses connections to addresses and ports that may not be reached.
func guardian(allow allowed, ports []uint16) func(network, address string, conn syscall.RawConn) error {
	addresses := ssrf.New(
		ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(allow.v4...), ssrf.WithAllowedV6Prefixes(allow.v6...),
		ssrf.WithDeniedV4Prefixes(alsoDenied...),
	)
	return func(network, address string, conn syscall.RawConn) error {
		if err := addresses.Safe(network, address, conn); err != nil {
			return err
		}
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("parse an address: %w", err)
		}
		if !slices.Contains(ports, target.Port()) && !allow.address(target.Addr()) {
			return fmt.Errorf("%w: %d", ssrf.ErrProhibitedPort, target.Port())
		}
		return nil
	}
}

// guarded returns the function that connects to receivers. It checks each address when it connects to it, after the name was
// resolved, so it does not matter what the name resolves to at other times. It refuses addresses that IANA's registries do not
// list as public, unless they are allowed, and ports that are not in ports. resolver may be nil.
func guarded(allow allowed, ports []uint16, resolver *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	trusting := &net.Dialer{Timeout: connectTimeout, Resolver: resolver}
	guarding := &net.Dialer{Timeout: connectTimeout, Resolver: resolver, Control: guardian(allow, ports)}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, err := net.SplitHostPort(address); err == nil && allow.host(host) {
			return trusting.DialContext(ctx, network, address)
		}
		return guarding.DialContext(ctx, network, address)
	}
}
