package testbench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/link"
)

// Link is a [link.Link] of a test, which fails if the link does. It is not safe for concurrent use.
type Link struct {
	// Address replaces the address of the server, as host:port.
	Address string

	tb   testing.TB
	link *link.Link
}

// Proxy starts a link to upstream, the host:port or URL of a server. It is closed when the test ends.
func Proxy(tb testing.TB, upstream string) *Link {
	tb.Helper()
	opened, err := link.New(tb.Name(), upstream)
	require.NoError(tb, err)
	tb.Cleanup(opened.Close)
	return &Link{Address: opened.Address, tb: tb, link: opened}
}

// Through returns serverURL with the address of the link.
func (l *Link) Through(serverURL string) string {
	l.tb.Helper()
	through, err := l.link.Through(serverURL)
	require.NoError(l.tb, err)
	return through
}

// Cut is [link.Link.Cut].
func (l *Link) Cut() { l.link.Cut() }

// Restore is [link.Link.Restore].
func (l *Link) Restore() {
	l.tb.Helper()
	require.NoError(l.tb, l.link.Restore())
}

// Stall is [link.Link.Stall].
func (l *Link) Stall() {
	l.tb.Helper()
	require.NoError(l.tb, l.link.Stall())
}

// Delay is [link.Link.Delay].
func (l *Link) Delay(by time.Duration) {
	l.tb.Helper()
	require.NoError(l.tb, l.link.Delay(by))
}

// Throttle is [link.Link.Throttle].
func (l *Link) Throttle(kibibytesPerSecond int64) {
	l.tb.Helper()
	require.NoError(l.tb, l.link.Throttle(kibibytesPerSecond))
}

// CutAfter is [link.Link.CutAfter].
func (l *Link) CutAfter(bytes int64) {
	l.tb.Helper()
	require.NoError(l.tb, l.link.CutAfter(bytes))
}

// Heal is [link.Link.Heal].
func (l *Link) Heal() { l.link.Heal(l.tb.Context()) }
