// Package admission decides which uploads are received, so that clients that send little or nothing cannot keep out
// those that send.
//
// An upload passes two limits. When its headers have arrived it enters, which costs little memory; there may be many of
// these. When its document's first bytes have arrived it takes one of a few slots, because from there on it takes
// memory and a connection to the store. An upload that lags behind the minimum rate is ended by its reader after a
// while. If others wait for its place, it is interrupted much earlier: at a limit, the upload that lags most is
// replaced, unless its client has fewer places than the client that wants one.
//
// Places are also shared between clients, because an upload at just the minimum rate does not lag. At a limit, a client
// with at least two places more than the client that wants one loses an upload, whether or not it lags. Free slots go
// to the clients with the fewest. A client is an IPv4 address or an IPv6 network of 64 bits (see Client). Behind a
// reverse proxy all uploads have the proxy's address, so they are one client, and only lag counts.
package admission

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Upload is an upload as a Gate sees it. Its methods are called at any time between Enter and Leave, by any goroutine,
// and must not call the Gate.
type Upload interface {
	// Lag returns for how long the client has sent less than the minimum rate: the time that it would need to send at the
	// minimum rate what is missing. It is 0 while the client is not waited for.
	Lag() time.Duration
	// Interrupt makes the upload fail soon. The cause is ErrLagged or ErrShared.
	Interrupt(cause error)
}

// Config limits uploads.
type Config struct {
	// Slots is the maximum number of uploads that are stored at once.
	Slots int
	// Open is the maximum number of uploads that have entered, including those with a slot.
	Open int
	// Wait is the maximum time that an upload waits for a slot.
	Wait time.Duration
}

// MinLag is the lag from which an upload may be interrupted in favor of another one. Healthy clients pause for less,
// also when a packet is lost and sent again after TCP's initial timeout of 1 s (RFC 6298). If more uploads wait than
// there are slots, it is shorter in proportion, so that also the last of them gets a slot after about MinLag, but not
// below minLagUnderPressure: a client that had to wait has data on the way, so one that sends nothing for so long after
// that has probably none. While there are several clients, the shorter lag applies only to those with more than their
// share of the slots, and never to a client's only upload.
const (
	MinLag              = 2 * time.Second
	minLagUnderPressure = 100 * time.Millisecond
)

// ShareAfter is how long an upload waits for a slot before a client with more slots loses one that does not lag.
const ShareAfter = time.Second

// checkInterval is how often a gate looks for uploads to replace while uploads wait for a slot.
const checkInterval = 50 * time.Millisecond

// Errors of a Gate.
var (
	// ErrTooManyOpen means that no more uploads can enter.
	ErrTooManyOpen = errors.New("too many open uploads")
	// ErrNoSlot means that no slot became free in time.
	ErrNoSlot = errors.New("no upload slot became free in time")
	// ErrLagged means that the upload lagged and another one took its place.
	ErrLagged = errors.New("the upload lagged while others waited")
	// ErrShared means that the client had more uploads than another client, which took the place of this one.
	ErrShared = errors.New("the client had more uploads than another client that waited")
)

// Gate admits uploads. It is safe for concurrent use.
type Gate struct {
	config Config

	mutex   sync.Mutex
	open    map[*Ticket]struct{}
	entered int // the number of tickets so far
	// slots is the number of slots in use, or granted to a waiting ticket.
	slots   int
	waiting []*Ticket // in the order of arrival
	checked time.Time // when makeRoom last looked
}

// NewGate returns a Gate.
func NewGate(config Config) *Gate {
	return &Gate{config: config, open: map[*Ticket]struct{}{}}
}

// SlotsInUse returns the number of slots in use.
func (g *Gate) SlotsInUse() int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.slots
}

// Client returns the client that sends from a network address with a port: the IPv4 address or, because a single host
// usually has that many addresses, the IPv6 network of 64 bits. An address of another kind is returned as it is.
func Client(address string) string {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return address // not a network connection
	}
	ip := parsed.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// Ticket is an upload that has entered.
type Ticket struct {
	gate   *Gate
	client string
	upload Upload
	number int // in the order of entry

	// The rest is guarded by the gate's mutex.
	slot        bool
	since       time.Time     // when the ticket began to wait for a slot
	granted     chan struct{} // closed when a waiting ticket gets a slot
	cause       error         // why the upload was interrupted
	interrupted chan struct{} // closed when cause is set
}

// Enter admits an upload of the client (see Client). The caller calls Leave when the upload has ended.
func (g *Gate) Enter(client string, upload Upload) (*Ticket, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if len(g.open) >= g.config.Open {
		// The other one leaves soon; until then there is one more than allowed.
		p := g.places(func(*Ticket) bool { return true })
		if p.ending >= g.config.Open || !p.replaceLagging(client, fixedMinLag) && !p.share(client) {
			return nil, ErrTooManyOpen
		}
	}
	g.entered++
	t := &Ticket{gate: g, client: client, upload: upload, number: g.entered, interrupted: make(chan struct{})}
	g.open[t] = struct{}{}
	return t, nil
}

// Leave ends an upload and frees its slot.
func (t *Ticket) Leave() {
	g := t.gate
	g.mutex.Lock()
	defer g.mutex.Unlock()
	delete(g.open, t)
	if t.slot {
		t.slot = false
		g.slots--
		g.grant()
	}
}

// Start takes a slot. If none is free it waits, up to a limit, and interrupts other uploads. If it gets none, it
// returns ErrNoSlot, the cause of its own interruption or the cause of ctx's end.
func (t *Ticket) Start(ctx context.Context) error {
	g := t.gate
	if t.enqueue() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.config.Wait, ErrNoSlot)
	defer cancel()
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	for {
		g.makeRoom()
		select {
		case <-t.granted:
			return nil
		case <-t.interrupted:
			return t.cause
		case <-check.C:
		case <-ctx.Done():
			if t.abandon() {
				return context.Cause(ctx)
			}
			return nil
		}
	}
}

// enqueue takes a slot, or makes the ticket wait for one. It reports whether one was free.
func (t *Ticket) enqueue() bool {
	g := t.gate
	g.mutex.Lock()
	defer g.mutex.Unlock()
	t.granted = make(chan struct{})
	if t.cause == nil {
		t.since = time.Now()
		g.waiting = append(g.waiting, t)
		g.grant()
	}
	return t.slot
}

// abandon ends the wait and reports whether it did: a slot may have been granted at the last moment.
func (t *Ticket) abandon() bool {
	g := t.gate
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if t.slot {
		return false
	}
	g.waiting = without(g.waiting, t)
	return true
}

// interrupt ends the upload, also while it waits for a slot.
func (t *Ticket) interrupt(cause error) {
	t.gate.waiting = without(t.gate.waiting, t)
	t.cause = cause
	close(t.interrupted)
	t.upload.Interrupt(cause)
}

// grant assigns free slots to waiting tickets: first to those of the clients with the fewest slots, then in order.
func (g *Gate) grant() {
	if g.slots >= g.config.Slots || len(g.waiting) == 0 {
		return
	}
	held := g.places(hasSlot).held
	for g.slots < g.config.Slots && len(g.waiting) > 0 {
		next := fewest(g.waiting, held)
		g.waiting = without(g.waiting, next)
		held[next.client]++
		next.slot = true
		g.slots++
		close(next.granted)
	}
}

// makeRoom interrupts uploads with a slot: at most one for each waiting ticket.
func (g *Gate) makeRoom() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if time.Since(g.checked) < checkInterval/2 { // each waiting ticket calls this
		return
	}
	g.checked = time.Now()
	p := g.places(hasSlot)
	minLag := g.minLag(p.held)
	waiting := slices.Clone(g.waiting)
	// serve takes tickets in the order in which they will get slots, as long as there is one for them.
	serve := func(makesRoom func(client string) bool) {
		for len(waiting) > 0 {
			next := fewest(waiting, p.held)
			if !makesRoom(next.client) {
				return
			}
			waiting = without(waiting, next)
			p.held[next.client]++
		}
	}
	serve(func(string) bool {
		p.ending--
		return p.ending >= 0
	})
	serve(func(client string) bool { return p.replaceLagging(client, minLag) })
	waiting = slices.DeleteFunc(waiting, func(t *Ticket) bool { return time.Since(t.since) < ShareAfter })
	serve(p.share)
}

// minLag returns the function that returns the lag from which a client's uploads with a slot may be interrupted. It
// keeps to the number of slots that the clients have now.
func (g *Gate) minLag(held map[string]int) func(client string) time.Duration {
	if len(g.waiting) <= g.config.Slots {
		return fixedMinLag
	}
	short := max(MinLag*time.Duration(g.config.Slots)/time.Duration(len(g.waiting)), minLagUnderPressure)
	held = maps.Clone(held)
	clients := maps.Clone(held)
	for _, t := range g.waiting {
		clients[t.client]++
	}
	return func(client string) time.Duration {
		if n := held[client]; len(clients) == 1 || n > 1 && n*len(clients) > g.config.Slots {
			return short
		}
		return MinLag
	}
}

func fixedMinLag(string) time.Duration { return MinLag }

func hasSlot(t *Ticket) bool { return t.slot }

// places are what clients compete for: the slots, or being open.
type places struct {
	tickets []*Ticket      // those with a place, without the interrupted ones
	held    map[string]int // the number of places of each client, without those of interrupted tickets
	ending  int            // the number of interrupted tickets
}

func (g *Gate) places(is func(*Ticket) bool) *places {
	p := &places{held: map[string]int{}}
	for t := range g.open {
		switch {
		case !is(t):
		case t.cause != nil:
			p.ending++
		default:
			p.tickets = append(p.tickets, t)
			p.held[t.client]++
		}
	}
	return p
}

// replaceLagging interrupts an upload in favor of the client: the one that lags most of the client with the most
// lagging uploads. It reports whether there was one with at least its minimum lag. Uploads of clients that hold fewer
// places than this one are left alone.
func (p *places) replaceLagging(client string, minLag func(client string) time.Duration) bool {
	lags, lagging := map[*Ticket]time.Duration{}, map[string]int{}
	for _, t := range p.tickets {
		if p.held[t.client] < p.held[client] {
			continue
		}
		if lag := t.upload.Lag(); lag >= minLag(t.client) {
			lags[t] = lag
			lagging[t.client]++
		}
	}
	var worst *Ticket
	for t, lag := range lags {
		if worst == nil || lagging[t.client] > lagging[worst.client] ||
			lagging[t.client] == lagging[worst.client] && lag > lags[worst] {
			worst = t
		}
	}
	return p.interrupt(worst, ErrLagged)
}

// share interrupts an upload of the client with the most places if it holds at least two more than this client, so that
// it does not hold fewer afterwards. It is the one that lags most, or the newest of those. It reports whether there was
// one.
func (p *places) share(client string) bool {
	var worst *Ticket
	var worstLag time.Duration
	for _, t := range p.tickets {
		if p.held[t.client] < p.held[client]+2 {
			continue
		}
		lag := t.upload.Lag()
		if worst == nil || cmp.Or(cmp.Compare(p.held[t.client], p.held[worst.client]), cmp.Compare(lag, worstLag),
			cmp.Compare(t.number, worst.number)) > 0 {
			worst, worstLag = t, lag
		}
	}
	return p.interrupt(worst, ErrShared)
}

// interrupt interrupts the ticket's upload and reports whether there is one.
func (p *places) interrupt(t *Ticket, cause error) bool {
	if t == nil {
		return false
	}
	p.tickets = without(p.tickets, t)
	p.held[t.client]--
	t.interrupt(cause)
	return true
}

// fewest returns the first of the tickets of the clients with the fewest places.
func fewest(tickets []*Ticket, held map[string]int) *Ticket {
	return slices.MinFunc(tickets, func(a, b *Ticket) int { return held[a.client] - held[b.client] }) // the first of equals
}

func without(tickets []*Ticket, t *Ticket) []*Ticket {
	return slices.DeleteFunc(tickets, func(other *Ticket) bool { return other == t })
}
