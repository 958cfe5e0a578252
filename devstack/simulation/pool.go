package simulation

import (
	"container/heap"
	"math"
	"slices"
)

// pool is the converters, each with the same number of slots. A slot starts, is idle, converts, or has ended with its converter.
type pool struct {
	perConverter int
	// turnaround is how long a slot is occupied after a conversion, in seconds.
	turnaround float64
	// converters are those that have not been removed, oldest first.
	converters []*converter
	// slots are all slots that have not ended, the next event first.
	slots agenda
	// free are idle slots, and slots that were idle before their converter was removed.
	free []*slot
	// replicas is the number of converters that have not been removed, and busy that of running conversions.
	replicas, busy int
	// running is the number of slots of running converters, including those that start or drain.
	running int
}

type converter struct {
	slots   []*slot
	removed bool
}

type slot struct {
	converter *converter
	state     state
	// until is when the state ends, in seconds; infinite for an idle slot.
	until float64
	// document is what is being converted, and aborted reports whether the conversion is abandoned at the end of the state.
	document document
	aborted  bool
	// index is the position in the agenda.
	index int
}

type state int

const (
	starting state = iota
	idle
	converting
)

func newPool(perConverter int, turnaround float64) *pool {
	return &pool{perConverter: perConverter, turnaround: turnaround}
}

// add adds a converter that takes commands from a time on.
func (p *pool) add(now, ready float64) {
	c := &converter{}
	for range p.perConverter {
		s := &slot{converter: c, until: ready}
		c.slots = append(c.slots, s)
		heap.Push(&p.slots, s)
		p.running++
		if ready <= now {
			p.release(s)
		}
	}
	p.converters = append(p.converters, c)
	p.replicas++
}

// remove removes the newest converter, as Kubernetes does. It begins no conversions, and abandons those that last longer than
// the deadline.
func (p *pool) remove(now, deadline float64) {
	c := p.converters[len(p.converters)-1]
	p.converters = slices.Delete(p.converters, len(p.converters)-1, len(p.converters))
	p.replicas--
	c.removed = true
	for _, s := range c.slots {
		switch s.state {
		case starting, idle:
			p.discard(s)
		case converting:
			if s.until > deadline {
				s.until, s.aborted = max(now, deadline), true
				heap.Fix(&p.slots, s.index)
			}
		}
	}
}

// next returns when the next slot ends what it is doing, in seconds.
func (p *pool) next() float64 {
	if len(p.slots) == 0 {
		return math.Inf(1)
	}
	return p.slots[0].until
}

// end ends what the next slot is doing. It returns the document that it has worked on, if any, and whether that is finished.
func (p *pool) end() (of document, finished, worked bool) {
	s := p.slots[0]
	of, finished, worked = s.document, !s.aborted, s.state == converting
	if worked {
		p.busy--
	}
	if s.converter.removed {
		p.discard(s)
	} else {
		p.release(s)
	}
	return of, finished, worked
}

// release makes a slot idle.
func (p *pool) release(s *slot) {
	s.state, s.until = idle, math.Inf(1)
	heap.Fix(&p.slots, s.index)
	p.free = append(p.free, s)
}

// discard ends a slot.
func (p *pool) discard(s *slot) {
	heap.Remove(&p.slots, s.index)
	p.running--
}

// idle reports whether a slot is idle.
func (p *pool) idle() bool {
	for len(p.free) > 0 && p.free[len(p.free)-1].converter.removed {
		p.free = p.free[:len(p.free)-1]
	}
	return len(p.free) > 0
}

// begin begins a conversion in an idle slot; there must be one.
func (p *pool) begin(of document, now float64) {
	s := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	s.state, s.document, s.until = converting, of, now+of.conversion+p.turnaround
	heap.Fix(&p.slots, s.index)
	p.busy++
}

// agenda is slots in the order of their next events. It implements [heap.Interface].
type agenda []*slot

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].until < a[j].until }

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

// Push appends a *slot.
func (a *agenda) Push(one any) {
	s, _ := one.(*slot)
	s.index = len(*a)
	*a = append(*a, s)
}

// Pop removes the last slot.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	s := (*a)[last]
	*a = (*a)[:last]
	return s
}
