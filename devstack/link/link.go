// Package link provides TCP proxies that simulate network faults between a program and a server.
package link

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Link is a TCP proxy to a server. It is not safe for concurrent use.
type Link struct {
	// Address replaces the address of the server, as host:port.
	Address string

	proxy *toxiproxy.Proxy
}

// New starts a link to upstream, the host:port or URL of a server. name is for logs.
func New(name, upstream string) (*Link, error) {
	if strings.Contains(upstream, "://") {
		parsed, err := url.Parse(upstream)
		if err != nil {
			return nil, fmt.Errorf("link to %s: %w", name, err)
		}
		upstream = parsed.Host
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("link to %s: %w", name, err)
	}
	return &Link{Address: proxy.Listen, proxy: proxy}, nil
}

// Through returns serverURL with the address of the link.
func (l *Link) Through(serverURL string) (string, error) {
	parsed, err := url.Parse(serverURL)
	if err != nil {
		return "", err
	}
	parsed.Host = l.Address
	return parsed.String(), nil
}

// Close closes all connections and the link.
func (l *Link) Close() { l.proxy.Stop() }

// Cut closes all connections and refuses new ones until Restore, like a server that is down.
func (l *Link) Cut() { l.proxy.Stop() }

// restoreTimeout is longer than a client's attempt to connect.
const restoreTimeout = 30 * time.Second

// Restore ends Cut. When it returns, the same address accepts connections again. Meanwhile the kernel may have assigned the port
// to an outgoing connection, such as one to this very address: Restore waits until it is free, for up to 30 s.
func (l *Link) Restore() error {
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(restoreTimeout); ; time.Sleep(pause) {
		err := l.proxy.Start()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the link cannot listen on its port again: %w", err)
		}
	}
}

// Stall keeps connections open but forwards nothing in either direction until Heal, like a network failure.
func (l *Link) Stall() error {
	if err := l.StallAnswers(); err != nil {
		return err
	}
	return l.addToxic("upstream", "timeout", "timeout", 0)
}

// StallAnswers forwards what clients send but not the answers of the server, until Heal, like a connection that is open in
// one direction only.
func (l *Link) StallAnswers() error { return l.addToxic("downstream", "timeout", "timeout", 0) }

// Delay delays the answers of the server until Heal.
func (l *Link) Delay(by time.Duration) error {
	return l.addToxic("downstream", "latency", "latency", by.Milliseconds())
}

// Throttle limits the rate to the server until Heal.
func (l *Link) Throttle(kibibytesPerSecond int64) error {
	return l.addToxic("upstream", "bandwidth", "rate", kibibytesPerSecond)
}

// CutAfter closes each connection after it has forwarded so many bytes to the server, until Heal.
func (l *Link) CutAfter(bytes int64) error {
	return l.addToxic("upstream", "limit_data", "bytes", bytes)
}

// Heal ends Stall, StallAnswers, Delay, Throttle and CutAfter.
func (l *Link) Heal(ctx context.Context) { l.proxy.Toxics.ResetToxics(ctx) }

// addToxic uses the only public function of toxiproxy that adds a toxic.
func (l *Link) addToxic(direction, kind, attribute string, value int64) error {
	toxic := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{%q:%d}}`, kind, direction, attribute, value)
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		return fmt.Errorf("change a link: %w", err)
	}
	return nil
}
