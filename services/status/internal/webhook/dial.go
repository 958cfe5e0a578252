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

// alsoDenied are addresses in public networks that only a machine's own cloud answers.
var alsoDenied = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's wire server
}

// guardian returns the function that refuses to connect to other addresses and ports than those that are reached.
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

// guarded returns the function that connects to receivers. The addresses are checked when a connection is made to them,
// after the name was resolved, so it does not matter what the name resolves to at other times. Those that the registries
// of IANA do not list as public are refused, unless they are allowed, and so are other ports than the given ones. resolver may be nil.
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
