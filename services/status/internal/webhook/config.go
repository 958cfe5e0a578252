// Package webhook signs and sends webhooks as Standard Webhooks 1.0 specifies (https://www.standardwebhooks.com), and prevents
// clients from making Docmill connect to servers that they must not reach.
package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docmill/docmill/platform/config"
)

// Config has the settings of webhooks.
//
//nolint:lll // kong's tags cannot be wrapped
type Config struct {
	Secrets     config.Secret `name:"secret-file" help:"File with the secret that signs webhooks: whsec_ followed by 24 to 64 random bytes in base64; the same for all replicas. With two secrets, one per line, each webhook is signed with both, so that receivers can change from one to the other. Without a secret, no webhooks are sent." placeholder:"FILE"`
	Allow       []string      `name:"allow" help:"Receivers of webhooks that are not on the public internet, separated by commas: addresses (192.0.2.7), networks (10.1.0.0/16), host names (hooks.internal) and all names below a domain (*.hooks.internal). Docmill connects to no other private, loopback, link-local or special address."`
	Ports       []uint16      `name:"ports" default:"80,443" help:"Allowed ports of receivers on the public internet, separated by commas. With more ports, clients could use Docmill to scan ports. Receivers of webhook-allow may have any port."`
	Timeout     time.Duration `name:"timeout" default:"15s" help:"Maximum time of one attempt to send a webhook."`
	Concurrency int           `name:"concurrency" default:"128" help:"Maximum number of webhooks that are sent at the same time."`
	PerReceiver int           `name:"per-receiver" default:"8" help:"Maximum number of webhooks that are sent to the same receiver at the same time. A registered domain with its subdomains is one receiver."`
	Retention   time.Duration `name:"retention" default:"336h" help:"How long after the end of a job its webhooks are kept and can be sent again. At least 168h."`
}

// minRetention is more than the time in which a webhook is sent: see package delivery.
const minRetention = 7 * 24 * time.Hour

// maxTimeout bounds how long a stopping process waits.
const maxTimeout = time.Minute

// Validate rejects settings that are out of range.
func (c Config) Validate() error {
	var faults []error
	require := func(ok bool, name, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("setting webhook-%s: it must be %s", name, what))
		}
	}
	require(len(c.Ports) > 0 && !slices.Contains(c.Ports, 0), "ports", "a list of ports from 1 to 65535")
	require(c.Timeout >= time.Second && c.Timeout <= maxTimeout, "timeout", "1s to 1m")
	require(c.Concurrency >= 1 && c.Concurrency <= 10_000, "concurrency", "1 to 10000")
	require(c.PerReceiver >= 1 && c.PerReceiver <= c.Concurrency, "per-receiver", "1 to webhook-concurrency")
	require(c.Retention >= minRetention, "retention", "at least 168h")
	_, err := parseSecrets(c.Secrets)
	_, notAllowed := parseAllowed(c.Allow)
	return errors.Join(append(faults, err, notAllowed)...)
}

// Enabled reports whether webhooks are sent.
func (c Config) Enabled() bool { return c.Secrets.Reveal() != "" }

const (
	secretPrefix                 = "whsec_"
	minSecretBytes, maxSecretLen = 24, 64
	maxSecrets                   = 2
)

// parseSecrets returns the secrets; there may be none. Its error does not contain them.
func parseSecrets(secrets config.Secret) ([]string, error) {
	all := strings.Fields(secrets.Reveal())
	if len(all) > maxSecrets {
		return nil, fmt.Errorf("setting webhook-secret: it has %d secrets; the maximum is %d", len(all), maxSecrets)
	}
	for i, secret := range all {
		encoded, found := strings.CutPrefix(secret, secretPrefix)
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if !found || err != nil || len(decoded) < minSecretBytes || len(decoded) > maxSecretLen {
			return nil, fmt.Errorf("setting webhook-secret: secret %d is not %s and %d to %d bytes in base64; generate one with "+
				"`echo %s$(openssl rand -base64 32)`", i+1, secretPrefix, minSecretBytes, maxSecretLen, secretPrefix)
		}
	}
	return all, nil
}

// allowed has the receivers that may be reached although they are not on the public internet.
type allowed struct {
	v4, v6 []netip.Prefix
	hosts  map[string]bool
	// domains begin with a dot.
	domains []string
}

// parseAllowed parses the setting webhook-allow.
func parseAllowed(entries []string) (allowed, error) {
	a := allowed{hosts: map[string]bool{}}
	for _, entry := range entries {
		entry = strings.ToLower(strings.TrimSpace(entry))
		prefix, err := netip.ParsePrefix(entry)
		if address, addressErr := netip.ParseAddr(entry); addressErr == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		domain, isDomain := strings.CutPrefix(entry, "*")
		switch {
		case err == nil && prefix.Addr().Is4():
			a.v4 = append(a.v4, prefix.Masked())
		case err == nil:
			a.v6 = append(a.v6, prefix.Masked())
		case isDomain && strings.HasPrefix(domain, ".") && isName(domain[1:]):
			a.domains = append(a.domains, domain)
		case isName(entry):
			a.hosts[entry] = true
		default:
			return allowed{}, fmt.Errorf("setting webhook-allow: %q is not an address, a network, a host name or *.domain", entry)
		}
	}
	return a, nil
}

// isName distinguishes a host name from a mistyped address, port or URL.
func isName(text string) bool {
	return text != "" && text[0] != '.' && net.ParseIP(text) == nil && !strings.ContainsAny(text, "/:*@ ,?#") && !strings.Contains(text, "..") &&
		strings.Trim(text, "0123456789.") != ""
}

// host reports whether a host may be reached, whatever its addresses are.
func (a allowed) host(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if a.hosts[name] {
		return true
	}
	for _, domain := range a.domains {
		if strings.HasSuffix(name, domain) {
			return true
		}
	}
	return false
}

// address reports whether an address may be reached, on any port.
func (a allowed) address(ip netip.Addr) bool {
	contains := func(prefix netip.Prefix) bool { return prefix.Contains(ip) }
	return slices.ContainsFunc(a.v4, contains) || slices.ContainsFunc(a.v6, contains)
}
