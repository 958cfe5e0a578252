// Package admission decides which uploads are received, so that clients that send little or nothing cannot keep out
// those that send.
//
// An upload passes two limits. When its headers have arrived it enters, which costs little memory; there may be many of
// these. When its document's first bytes have arrived it takes one of a few slots, because from there on it takes
// memory and a connection to the store. An upload that lags behind the minimum rate is ended by its reader after a
// while. If others wait for its place, it is interrupted much earlier: at a limit, the upload that lags most is
// replaced. Clients with the most uploads lose theirs first and get slots last.
package admission

import (
	"context"
	"errors"
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
	// Interrupt makes the upload fail soon.
	Interrupt()
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
// that has probably none.
const (
	MinLag              = 2 * time.Second
	minLagUnderPressure = 100 * time.Millisecond
)

// checkInterval is how often a gate looks for uploads to replace while uploads wait for a slot.
const checkInterval = 50 * time.Millisecond

// Errors of a Gate.
var (
	// ErrTooManyOpen means that no more uploads can enter.
	ErrTooManyOpen = errors.New("too many open uploads")
	// ErrNoSlot means that no slot became free in time.
	ErrNoSlot = errors.New("no upload slot became free in time")
)

// Gate admits uploads. It is safe for concurrent use.
type Gate struct {
	config Config

	mutex sync.Mutex
	open  map[*Ticket]struct{}
	// slots is the number of slots in use, or granted to a waiting ticket.
	slots   int
	waiting []*Ticket // in the order of arrival
	checked time.Time // when makeRoom last looked
}

// NewGate returns a Gate.
func NewGate(config Config) *Gate {
	return &Gate{config: config, open: map[*Ticket]struct{}{}}
}

// Ticket is an upload that has entered.
type Ticket struct {
	gate   *Gate
	client string
	upload Upload

	// The rest is guarded by the gate's mutex.
	slot        bool
	interrupted bool
	granted     chan struct{} // closed when a waiting ticket gets a slot
}

// Enter admits an upload of the client, which is its network address. The caller calls Leave when the upload has ended.
func (g *Gate) Enter(client string, upload Upload) (*Ticket, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if len(g.open) >= g.config.Open {
		// The other one leaves soon; until then there is one more than allowed.
		if g.interrupted() >= g.config.Open || !g.replace(MinLag, func(*Ticket) bool { return true }) {
			return nil, ErrTooManyOpen
		}
	}
	t := &Ticket{gate: g, client: client, upload: upload}
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

// Start takes a slot. If none is free it waits, up to a limit, and interrupts uploads that lag. If it gets none, it
// returns ErrNoSlot or the cause of ctx's end.
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
	g.waiting = append(g.waiting, t)
	g.grant()
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
	g.waiting = slices.DeleteFunc(g.waiting, func(other *Ticket) bool { return other == t })
	return true
}

// grant assigns free slots to waiting tickets: first to those of the clients with the fewest slots, then in order.
func (g *Gate) grant() {
	for g.slots < g.config.Slots && len(g.waiting) > 0 {
		held := g.count(func(t *Ticket) bool { return t.slot })
		next := slices.MinFunc(g.waiting, func(a, b *Ticket) int { return held[a.client] - held[b.client] }) // the first of equals
		g.waiting = slices.DeleteFunc(g.waiting, func(t *Ticket) bool { return t == next })
		next.slot = true
		g.slots++
		close(next.granted)
	}
}

// makeRoom interrupts lagging uploads with a slot: at most one for each waiting ticket.
func (g *Gate) makeRoom() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if time.Since(g.checked) < checkInterval/2 { // each waiting ticket calls this
		return
	}
	g.checked = time.Now()
	ending := 0
	for t := range g.open {
		if t.slot && t.interrupted {
			ending++
		}
	}
	minLag := MinLag
	if len(g.waiting) > g.config.Slots {
		minLag = max(MinLag*time.Duration(g.config.Slots)/time.Duration(len(g.waiting)), minLagUnderPressure)
	}
	for range len(g.waiting) - ending {
		if !g.replace(minLag, func(t *Ticket) bool { return t.slot }) {
			return
		}
	}
}

// replace interrupts the upload that lags most among those of the client with the most lagging uploads. It reports
// whether there was one with at least minLag.
func (g *Gate) replace(minLag time.Duration, eligible func(*Ticket) bool) bool {
	lags := map[*Ticket]time.Duration{}
	for t := range g.open {
		if t.interrupted || !eligible(t) {
			continue
		}
		if lag := t.upload.Lag(); lag >= minLag {
			lags[t] = lag
		}
	}
	lagging := g.count(func(t *Ticket) bool { return lags[t] > 0 })
	var worst *Ticket
	for t, lag := range lags {
		if worst == nil || lagging[t.client] > lagging[worst.client] ||
			lagging[t.client] == lagging[worst.client] && lag > lags[worst] {
			worst = t
		}
	}
	if worst == nil {
		return false
	}
	worst.interrupted = true
	worst.upload.Interrupt()
	return true
}

// count counts the open tickets of each client for which is holds.
func (g *Gate) count(is func(*Ticket) bool) map[string]int {
	counts := map[string]int{}
	for t := range g.open {
		if is(t) {
			counts[t.client]++
		}
	}
	return counts
}

func (g *Gate) interrupted() int {
	n := 0
	for t := range g.open {
		if t.interrupted {
			n++
		}
	}
	return n
}
