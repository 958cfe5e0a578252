// Package delivery is the domain of webhooks: which ends of jobs are reported, what is sent, and when it is sent again. It is
// pure logic without input or output.
//
// A delivery is one report to one receiver. It is stored in the transaction that ends the job, with its payload, and from
// then on does not depend on the job. Its attempts are leased: if the process that holds a lease dies, another one makes
// the attempt again after the lease. So a report is sent at least once, always under the same id.
package delivery

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/publicsuffix"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/services/status/internal/representation"
	"github.com/docmill/docmill/services/status/job"
)

// State is the state of a delivery. Its values are stored in databases and must not change.
type State string

// A delivery is pending until the receiver has accepted it or no more attempts are made.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Abandoned State = "abandoned"
)

// Key identifies a delivery: each generation of a job ends once.
type Key struct {
	Job        uuid.UUID
	Generation int32
}

// ID returns the value of the header webhook-id. It is the same for every attempt and contains no full stop, which
// separates the parts of what is signed.
func (k Key) ID() string { return fmt.Sprintf("msg_%s_%d", hex.EncodeToString(k.Job[:]), k.Generation) }

// Delivery is a report of the end of a job.
type Delivery struct {
	Key

	// Event is the type of the event, such as "job.succeeded".
	Event string
	URL   string
	// Receiver is the registered domain that the host of the URL belongs to, in lower case, or the network of its address. Deliveries
	// to other receivers do not wait for those to this one.
	Receiver string
	// Payload is the body that is sent, at most MaxPayload bytes. A list of deliveries omits it.
	Payload []byte
	State   State
	// EnqueuedAt is when the job ended, or when an operator had the report sent again.
	EnqueuedAt time.Time
	// DueAt is the earliest time of the next attempt. While an attempt is leased, it is the end of the lease.
	DueAt time.Time
	// Attempts are the latest attempts, at most MaxAttempts, in their order.
	Attempts []Attempt
}

const (
	// MaxPayload is the maximum size of a payload in bytes. The report of a job with hundreds of fonts is left out.
	MaxPayload = 64 << 10
	// MaxAttempts is how many attempts are kept: more than the schedule has. Older ones were made before the webhook was sent again.
	MaxAttempts = 20
	// MaxListed is how many deliveries of a job are listed. A job has one for each time that it was retried.
	MaxListed = 100
)

// body is the payload, as the specification of Standard Webhooks recommends it.
type body struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// Of returns the delivery for the end of a job. It returns false if the client does not want one.
func Of(j job.Job) (Delivery, bool) {
	if !Reports(j) {
		return Delivery{}, false
	}
	callback, event := j.Submission.Callback, eventOf(j.Status)
	return Delivery{
		Key: Key{Job: j.ID, Generation: j.Generation}, Event: event, URL: callback.URL, Receiver: receiverOf(callback.URL),
		Payload: payload(event, j), State: Pending,
	}, true
}

// Reports reports whether clients see that the job has ended, and want that to be reported.
func Reports(j job.Job) bool {
	return j.Visible() && j.Gone == "" && j.Status.Terminal() && j.Submission.Callback != nil &&
		slices.Contains(j.Submission.Callback.Events, eventOf(j.Status))
}

func eventOf(status job.Status) string { return "job." + string(status) }

// receiverOf returns the receiver of a URL. It is never empty. The owner of a domain, or of an IPv6 network, can have any number of hosts,
// which together must not get more than another receiver. Below a suffix that is not in the list of public suffixes, as on a private
// network, each host is a receiver.
func receiverOf(text string) string {
	host := hostOf(text)
	if address, err := netip.ParseAddr(host); err == nil {
		return networkOf(address)
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	if !icann && !strings.Contains(suffix, ".") {
		return host
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}

// hostOf returns the host of a URL. It is never empty.
func hostOf(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Hostname() == "" {
		return "(invalid)" // the attempts report it
	}
	return strings.TrimSuffix(strings.ToLower(parsed.Hostname()), ".")
}

// Host returns the host of the URL, in lower case. It is never empty.
func (d Delivery) Host() string { return hostOf(d.URL) }

// networkOf returns an IPv4 address itself, or the network of an IPv6 address.
func networkOf(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	const bits = 64
	return netip.PrefixFrom(address, bits).Masked().String()
}

// payload returns the job as the API shows it, without the parts that make it too large.
func payload(event string, j job.Job) []byte {
	whole := representation.Of(j)
	small := whole
	small.Report, small.Warnings = nil, nil
	least := jobapi.Job{ID: whole.ID, Status: whole.Status, CreatedAt: whole.CreatedAt, Links: whole.Links}
	for _, data := range []jobapi.Job{whole, small, least} {
		encoded, err := json.Marshal(body{Type: event, Timestamp: j.FinishedAt, Data: data})
		if err == nil && len(encoded) <= MaxPayload {
			return encoded
		}
	}
	return nil // not reached: the last one has a few texts of known lengths
}
