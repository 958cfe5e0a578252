package testbench

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// Link is a TCP connection to a server that can be disturbed. It is safe for one goroutine at a time.
type Link struct {
	// Address to connect to instead of the server's own, as host:port.
	Address string

	tb    testing.TB
	proxy *toxiproxy.Proxy
}

// Proxy puts a link in front of upstream, a server's host:port or URL. It is gone when the test ends.
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

// Through is a URL of the server, led through the link.
func (l *Link) Through(serverURL string) string {
	l.tb.Helper()
	parsed, err := url.Parse(serverURL)
	require.NoError(l.tb, err)
	parsed.Host = l.Address
	return parsed.String()
}

// Cut closes all connections and refuses new ones until Restore: the server is gone.
func (l *Link) Cut() { l.proxy.Stop() }

// Restore ends Cut. Connections can be made again at the same address when it returns.
func (l *Link) Restore() {
	l.tb.Helper()
	require.NoError(l.tb, l.proxy.Start())
}

// Stall lets connections stay open while nothing arrives in either direction, until Heal: the network is gone.
func (l *Link) Stall() {
	l.tb.Helper()
	l.disturb("upstream", "timeout", "timeout", 0)
	l.disturb("downstream", "timeout", "timeout", 0)
}

// Delay holds back what the server answers, until Heal.
func (l *Link) Delay(by time.Duration) {
	l.tb.Helper()
	l.disturb("downstream", "latency", "latency", by.Milliseconds())
}

// Throttle lets at most so many KiB per second through to the server, until Heal.
func (l *Link) Throttle(kibibytesPerSecond int64) {
	l.tb.Helper()
	l.disturb("upstream", "bandwidth", "rate", kibibytesPerSecond)
}

// CutAfter closes a connection once so many bytes went through it to the server, until Heal: a transfer breaks off.
func (l *Link) CutAfter(bytes int64) {
	l.tb.Helper()
	l.disturb("upstream", "limit_data", "bytes", bytes)
}

// Heal ends Stall, Delay, Throttle and CutAfter.
func (l *Link) Heal() { l.proxy.Toxics.ResetToxics(l.tb.Context()) }

// disturb speaks toxiproxy's one public way to add a toxic.
func (l *Link) disturb(direction, kind, attribute string, value int64) {
	l.tb.Helper()
	toxic := `{"type":"` + kind + `","stream":"` + direction + `","attributes":{"` + attribute + `":` + strconv.FormatInt(value, 10) + `}}`
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	require.NoError(l.tb, err)
}
