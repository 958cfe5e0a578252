package webhook_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/docmill/docmill/services/status/delivery"
)

// names is a DNS server. Each question for a name is answered with the next of its addresses, and then with the last one.
type names struct {
	mu        sync.Mutex
	addresses map[string][][]netip.Addr
}

// resolver serves the names until the test ends, and returns a resolver that asks there.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer := n.answer(buffer[:size]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n *names) answer(packet []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(packet) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	for _, address := range n.next(strings.ToLower(strings.TrimSuffix(q.Name.String(), ".")), q.Type) {
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		} else {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (n *names) next(name string, kind dnsmessage.Type) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	answers := n.addresses[name]
	if len(answers) == 0 {
		return nil
	}
	if kind == dnsmessage.TypeA && len(answers) > 1 {
		defer func() { n.addresses[name] = answers[1:] }()
	}
	var matching []netip.Addr
	for _, address := range answers[0] {
		if address.Is4() == (kind == dnsmessage.TypeA) {
			matching = append(matching, address)
		}
	}
	return matching
}

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// TestPrivateAddresses requires that addresses that are not public are not reached, as they are and under a name.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	server, calls := receive(t, answer(http.StatusOK))
	parsed, err := url.Parse(server)
	require.NoError(t, err)
	port := parsed.Port()
	known := &names{addresses: map[string][][]netip.Addr{}}
	private := []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "192.0.0.192",
		"168.63.129.16", "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "2001:db8::1", "::127.0.0.1",
	}
	targets := []string{"localhost:" + port, "2130706433:" + port, "0x7f.1:" + port, "127.1:" + port, "missing.example:" + port, "[::ffff:7f00:1]:" + port}
	for i, address := range private {
		name := "private" + string(rune('a'+i)) + ".example"
		known.addresses[name] = [][]netip.Addr{addresses(address)}
		targets = append(targets, net.JoinHostPort(address, port), net.JoinHostPort(name, port))
	}
	c := configured(newSecret)
	number, err := strconv.ParseUint(port, 10, 16)
	require.NoError(t, err)
	c.Ports = []uint16{uint16(number)}
	sender := newSender(t, c, known.resolver(t))
	for _, target := range targets {
		attempt, err := sender.Send(t.Context(), deliveryTo("http://"+target+"/"))
		require.Equal(t, delivery.Unreachable, attempt.Fault, "%s: %v", target, err)
	}
	require.Empty(t, calls)
}

// TestAddressThatChanges requires that the address is checked that is connected to, not one that the name had before.
func TestAddressThatChanges(t *testing.T) {
	t.Parallel()
	server, calls := receive(t, answer(http.StatusOK))
	parsed, err := url.Parse(server)
	require.NoError(t, err)
	known := &names{addresses: map[string][][]netip.Addr{
		// The first address is allowed, the next ones are not.
		"changing.example": {addresses("127.0.0.1"), addresses("127.0.0.2"), addresses("169.254.169.254")},
		"several.example":  {addresses("127.0.0.2", "10.0.0.1", "127.0.0.1")},
	}}
	sender := newSender(t, configured(newSecret, "127.0.0.1"), known.resolver(t))
	send := func(name string) delivery.Fault {
		attempt, _ := sender.Send(t.Context(), deliveryTo("http://"+name+":"+parsed.Port()+"/"))
		sender.Close() // so that the next attempt needs a new connection
		return attempt.Fault
	}
	require.Empty(t, send("changing.example"))
	require.Equal(t, delivery.Unreachable, send("changing.example"))
	require.Equal(t, delivery.Unreachable, send("changing.example"))
	require.Empty(t, send("several.example"), "one of its addresses is allowed")
	require.Len(t, calls, 2)
}

func TestAllowedReceivers(t *testing.T) {
	t.Parallel()
	server, _ := receive(t, answer(http.StatusOK))
	parsed, err := url.Parse(server)
	require.NoError(t, err)
	known := &names{addresses: map[string][][]netip.Addr{}}
	for _, name := range []string{"hooks.internal", "a.b.internal", "internal", "hooks.internal.example", "xhooks.internal"} {
		known.addresses[name] = [][]netip.Addr{addresses("127.0.0.1")}
	}
	resolver := known.resolver(t)
	for _, test := range []struct {
		allow, host string
		reached     bool
	}{
		{"127.0.0.0/8", "127.0.0.1", true},
		{"127.0.0.0/8", "internal", true},
		{"127.0.0.1", "internal", true},
		{"127.0.0.2", "127.0.0.1", false},
		{"10.0.0.0/8", "127.0.0.1", false},
		{"hooks.internal", "hooks.internal", true},
		{"HOOKS.internal", "Hooks.Internal.", true},
		{"hooks.internal", "xhooks.internal", false},
		{"hooks.internal", "hooks.internal.example", false},
		{"hooks.internal", "127.0.0.1", false},
		{"*.internal", "a.b.internal", true},
		{"*.internal", "internal", false},
		{"*.internal", "hooks.internal.example", false},
	} {
		sender := newSender(t, configured(newSecret, test.allow), resolver)
		attempt, err := sender.Send(t.Context(), deliveryTo("http://"+test.host+":"+parsed.Port()+"/"))
		require.Equal(t, test.reached, attempt.Fault == "", "%s with %s: %v", test.host, test.allow, err)
	}
}
