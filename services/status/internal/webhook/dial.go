package webhook

import (
	"context"
	"net"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

// connectTimeout limits the resolution of a name and the handshake of TCP.
const connectTimeout = 5 * time.Second

// alsoDenied are addresses in public networks that only a machine's own cloud answers.
var alsoDenied = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's wire server
}

// guardian decides which addresses are reached.
func guardian(allow allowed) *ssrf.Guardian {
	return ssrf.New(
		ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(allow.v4...), ssrf.WithAllowedV6Prefixes(allow.v6...),
		ssrf.WithDeniedV4Prefixes(alsoDenied...),
	)
}

// guarded returns the function that connects to receivers. The addresses are checked when a connection is made to them,
// after the name was resolved, so it does not matter what the name resolves to at other times. Those that the registries
// of IANA do not list as public are refused, unless they are allowed. resolver may be nil.
func guarded(allow allowed, resolver *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	trusting := &net.Dialer{Timeout: connectTimeout, Resolver: resolver}
	guarding := &net.Dialer{Timeout: connectTimeout, Resolver: resolver, Control: guardian(allow).Safe}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, err := net.SplitHostPort(address); err == nil && allow.host(host) {
			return trusting.DialContext(ctx, network, address)
		}
		return guarding.DialContext(ctx, network, address)
	}
}
