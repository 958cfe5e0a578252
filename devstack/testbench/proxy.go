package testbench

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// Link is a TCP proxy to a server that can simulate network faults. It is not safe for concurrent use.
type Link struct {
	// Address replaces the address of the server, as host:port.
	Address string

	tb    testing.TB
	proxy *toxiproxy.Proxy
}

// Proxy starts a link to upstream, the host:port or URL of a server. It is closed when the test ends.
func Proxy(tb testing.TB, upstream string) *Link {
	tb.Helper()
	if strings.Contains(upstream, "://") {
		parsed, err := url.Parse(upstream)
		require.NoError(tb, err)
		upstream = parsed.Host
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, tb.Name(), "127.0.0.1:0", upstream)
	require.NoError(tb, proxy.Start())
	tb.Cleanup(proxy.Stop)
	return &Link{Address: proxy.Listen, tb: tb, proxy: proxy}
}

// Through returns serverURL with the address of the link.
func (l *Link) Through(serverURL string) string {
	l.tb.Helper()
	parsed, err := url.Parse(serverURL)
	require.NoError(l.tb, err)
	parsed.Host = l.Address
	return parsed.String()
}

// Cut closes all connections and refuses new ones until Restore, like a server that is down.
func (l *Link) Cut() { l.proxy.Stop() }

// Restore ends Cut. When it returns, the same address accepts connections again. Meanwhile the kernel may have given the port to
// an outgoing connection, such as one that looks for this very address: Restore waits until it is free.
func (l *Link) Restore() {
	l.tb.Helper()
	require.Eventually(l.tb, func() bool { return l.proxy.Start() == nil }, restoreTimeout, 20*time.Millisecond,
		"the link cannot listen on its port again")
}

// restoreTimeout is longer than a client's attempt to connect.
const restoreTimeout = 30 * time.Second

// Stall keeps connections open but forwards nothing in either direction until Heal, like a network failure.
func (l *Link) Stall() {
	l.tb.Helper()
	l.addToxic("upstream", "timeout", "timeout", 0)
	l.addToxic("downstream", "timeout", "timeout", 0)
}

// Delay delays the answers of the server until Heal.
func (l *Link) Delay(by time.Duration) {
	l.tb.Helper()
	l.addToxic("downstream", "latency", "latency", by.Milliseconds())
}

// Throttle limits the rate to the server until Heal.
func (l *Link) Throttle(kibibytesPerSecond int64) {
	l.tb.Helper()
	l.addToxic("upstream", "bandwidth", "rate", kibibytesPerSecond)
}

// CutAfter closes each connection after it has forwarded so many bytes to the server, until Heal.
func (l *Link) CutAfter(bytes int64) {
	l.tb.Helper()
	l.addToxic("upstream", "limit_data", "bytes", bytes)
}

// Heal ends Stall, Delay, Throttle and CutAfter.
func (l *Link) Heal() { l.proxy.Toxics.ResetToxics(l.tb.Context()) }

// addToxic uses the only public function of toxiproxy that adds a toxic.
func (l *Link) addToxic(direction, kind, attribute string, value int64) {
	l.tb.Helper()
	toxic := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{%q:%d}}`, kind, direction, attribute, value)
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	require.NoError(l.tb, err)
}
