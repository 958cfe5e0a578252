package messagetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docmill/docmill/contract/message"
)

// bugs are the planted ones. Without any, the reference broker is correct.
type bugs struct {
	publishBeforeStored, acceptCanceled, acceptUnpublishable, acceptAfterStop, fullQueueAccepts, loseConcurrent bool

	depthCountsHeld, depthWithoutConnection bool

	eventNotCopied, eventsAlsoCommands, attemptForgotten, traceLost bool

	delayLost, delayedAlsoEvents, delaysInOneLine, returnedIsNew, returnedNeedsPlace, returnedDropped bool

	ackBeforeHandle, ackIgnored, requeueDrops, deadLetterDropped, deathForgotten, newIDOnRedelivery bool

	deadEventDropped, forwardedElsewhere, forwardedRenewed, forwardAnywhere bool

	lossNotCounted, lossNotAnnounced, lateAckCounts, noDeliveryLimit, noClaim, foreignDropped bool

	noConcurrencyLimit, prefetchesMore, readyIgnored, suspendIgnored, checkAlwaysNil bool

	abandonedAckIgnored, drainDropsHand, drainIgnored, drainCountsRest, drainCountsNew, drainKeepsRetrying bool

	batchTooLarge, batchReversed, batchWaits, batchRetriesOne, batchAckedOnError bool

	marksKept, markIgnored, markTakesAll bool

	fanOutToOne, announcementsKept, rejectedAnnouncementDies bool

	progressIsEvent, progressUnlimited, newestDropped bool
}

// memory is the reference: the smallest broker that is correct. What it calls durable survives restart alone.
type memory struct {
	bugs  bugs
	scale time.Duration // delays are divided by it

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at each change
	queues    map[message.Queue][]*item
	unstored  []func() // writes that a bug has put off
	listeners []*consumer
	consumers []*consumer
	limit     int
	lastLong  time.Time
}

// item is a message in a queue.
type item struct {
	envelope message.Envelope
	queue    message.Queue
	count    int
	death    message.Death
	holder   *session          // nil: no session holds it
	seen     map[*session]bool // used by a bug
}

func newMemory(b bugs) *memory {
	return &memory{
		bugs: b, scale: 100, changed: make(chan struct{}), queues: map[message.Queue][]*item{}, limit: message.MaxCommands,
	}
}

// harness is how the suite reaches the store.
func (m *memory) harness() Harness {
	return Harness{
		Open:          func(_ testing.TB, name string) message.Broker { return opened{memory: m, name: name} },
		ShortestDelay: message.RetryDelays()[0] / m.scale,
		Restart:       func(testing.TB) { m.update(func() { m.unstored = nil }) },
		Disconnect:    func(testing.TB) { m.disconnect() },
		LimitCommands: func(_ testing.TB, n int) { m.limit = n },
		Inject: func(_ testing.TB, e message.Envelope) {
			e.Attempt = max(e.Attempt, 1)
			if !m.bugs.foreignDropped {
				m.update(func() { m.add(message.Commands, e) })
			}
		},
	}
}

// update changes the store and wakes every goroutine that waits for a change.
func (m *memory) update(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) add(queue message.Queue, e message.Envelope) {
	m.queues[queue] = append(m.queues[queue], &item{envelope: e, queue: queue})
}

// opened is the store as one service sees it.
type opened struct {
	*memory

	name string
}

func (o opened) NewPublisher(message.PublisherOptions) (message.Publisher, error) {
	return &publisher{memory: o.memory, name: o.name}, nil
}

func (o opened) NewConsumer(
	queue message.Queue, handler message.Handler, options message.ConsumerOptions,
) (message.Consumer, error) {
	if options.RetryFor == 0 {
		options.RetryFor = 10 * time.Minute
	}
	return &consumer{memory: o.memory, queue: queue, handler: handler, options: options}, nil
}

type publisher struct {
	*memory

	name    string
	busy    atomic.Int32
	running bool // guarded by the store's mutex
}

func (p *publisher) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	p.update(func() { p.running = true })
	ready()
	select {
	case <-drain:
	case <-ctx.Done():
	}
	p.update(func() { p.running = p.bugs.acceptAfterStop })
	return nil
}

func (p *publisher) Check(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running && !p.bugs.checkAlwaysNil {
		return message.ErrNotConnected
	}
	return nil
}

func (p *publisher) Depth(ctx context.Context, queue message.Queue) (int, error) {
	err := p.Check(ctx)
	switch {
	case err != nil && !p.bugs.depthWithoutConnection:
		return 0, err
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case queue == message.Announcements:
		return 0, errors.New("no such queue")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	depth := 0
	for _, i := range p.queues[queue] {
		if i.holder == nil || p.bugs.depthCountsHeld {
			depth++
		}
	}
	return depth, nil
}

func (p *publisher) Publish(ctx context.Context, m message.Message) error {
	failed := func(kind, cause error) error {
		return &message.PublishError{Message: m.String(), Kind: kind, Cause: cause, NotEnqueued: true}
	}
	e, err := message.Encode(ctx, m, p.name)
	switch {
	case err != nil && p.bugs.acceptUnpublishable:
		return nil
	case err != nil:
		return failed(message.ErrUnpublishable, err)
	case ctx.Err() != nil && !p.bugs.acceptCanceled:
		return failed(message.ErrBusy, context.Cause(ctx))
	case p.Check(ctx) != nil:
		return failed(message.ErrNotConnected, nil)
	}
	if p.bugs.attemptForgotten {
		e.Attempt = 1
	}
	if p.bugs.traceLost {
		e.Trace = nil
	}
	if n := p.busy.Add(1); n > 1 && p.bugs.loseConcurrent {
		p.busy.Add(-1)
		return nil
	}
	defer p.busy.Add(-1)
	if p.bugs.loseConcurrent {
		runtime.Gosched() // let others begin
	}
	var kind error
	p.update(func() { kind = p.store(m, e) })
	if kind != nil {
		return failed(kind, nil)
	}
	return nil
}

func (p *publisher) Forward(ctx context.Context, e message.Envelope, to message.Queue) error {
	if !message.CanForward(to) && !p.bugs.forwardAnywhere {
		return &message.PublishError{Message: e.String(), Kind: message.ErrUnpublishable, NotEnqueued: true}
	}
	if err := p.Check(ctx); err != nil {
		return &message.PublishError{Message: e.String(), Kind: err, NotEnqueued: true}
	}
	if p.bugs.forwardedRenewed {
		e.ID, e.Attempt = "another", 1
	}
	p.update(func() {
		p.add(to, e)
		if p.bugs.forwardedElsewhere {
			p.add(message.Commands, e)
		}
	})
	return nil
}

// store puts a message where it belongs. The store is locked.
func (p *publisher) store(m message.Message, e message.Envelope) error {
	if m.Delay > 0 && !p.bugs.delayLost {
		p.delay(m.Delay, e)
		return nil
	}
	queues, _ := message.QueuesFor(m)
	if p.bugs.returnedIsNew {
		queues, _ = message.QueuesOf(m.Body)
	}
	if queues[0] == message.Announcements {
		return p.announce(e)
	}
	if queues[0] == message.Progress {
		p.progress(e)
		return nil
	}
	if p.bugs.eventNotCopied {
		queues = queues[:1]
	}
	if p.bugs.eventsAlsoCommands && len(queues) == 1 && !m.Returned {
		queues = []message.Queue{message.Commands, message.Events}
	}
	if (slices.Contains(queues, message.Commands) || m.Returned && p.bugs.returnedNeedsPlace) && len(p.queues[message.Commands]) >= p.limit && !p.bugs.fullQueueAccepts {
		return message.ErrNacked
	}
	write := func() {
		for _, queue := range queues {
			p.add(queue, e)
		}
	}
	if p.bugs.publishBeforeStored { // the next publication stores it
		p.unstored = append(p.unstored, write)
		time.AfterFunc(10*time.Millisecond, func() { p.update(p.flush) })
		return nil
	}
	write()
	return nil
}

// progress stores progress, and drops the oldest beyond the limit. The store is locked.
func (m *memory) progress(e message.Envelope) {
	full := len(m.queues[message.Progress]) >= message.MaxProgress
	if full && m.bugs.newestDropped {
		return
	}
	m.add(message.Progress, e)
	if m.bugs.progressIsEvent {
		m.add(message.Events, e)
	}
	if full && !m.bugs.progressUnlimited {
		m.remove(m.queues[message.Progress][0])
	}
}

func (m *memory) flush() {
	for _, write := range m.unstored {
		write()
	}
	m.unstored = nil
}

func (p *publisher) delay(d time.Duration, e message.Envelope) {
	d /= p.scale
	if p.bugs.delaysInOneLine { // as if only the head of one queue expired
		p.lastLong = later(p.lastLong, time.Now().Add(d))
		d = time.Until(p.lastLong)
	}
	if p.bugs.delayedAlsoEvents {
		p.add(message.Events, e)
	}
	time.AfterFunc(d, func() { p.update(func() { p.add(message.Returned, e) }) })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (p *publisher) announce(e message.Envelope) error {
	if p.bugs.announcementsKept {
		p.add(message.Announcements, e)
		return nil
	}
	if len(p.listeners) == 0 {
		return message.ErrUnroutable
	}
	for _, c := range p.listeners {
		c.inbox = append(c.inbox, &item{envelope: e, queue: message.Announcements})
		if p.bugs.fanOutToOne {
			break
		}
	}
	return nil
}

type consumer struct {
	*memory

	queue   message.Queue
	handler message.Handler
	options message.ConsumerOptions

	session   *session // guarded by the store's mutex, as are the others
	inbox     []*item  // of a listener
	suspended bool
}

// session is a consumer's connection.
type session struct {
	ctx  context.Context
	lose context.CancelCauseFunc
}

func (c *consumer) Run(ctx context.Context, ready func(), drain <-chan struct{}) error {
	if c.bugs.drainIgnored {
		drain = nil
	}
	stop := stopping{Context: ctx, drain: drain}
	ready()
	for stop.Err() == nil && c.ask(stop) {
		s := c.open(ctx)
		switch h := c.handler.(type) {
		case message.Each:
			c.each(stop, s, h)
		case message.Batches:
			c.batches(stop, s, h)
		}
		c.close(s)
	}
	return nil
}

// endsWithin reports whether the context ends within the duration.
func (s stopping) endsWithin(d time.Duration) bool {
	select {
	case <-s.drain:
	case <-s.Done():
	case <-time.After(d):
		return false
	}
	return true
}

// stopping is a context that ends with drain, too. It has ended in the moment in which drain is closed: a consumer that
// merely learns of it soon after may take one more delivery.
type stopping struct {
	context.Context

	drain <-chan struct{}
}

func (s stopping) Err() error {
	select {
	case <-s.drain:
		return context.Canceled
	default:
		return s.Context.Err()
	}
}

func (c *consumer) ask(stop stopping) bool {
	asking, cancel := context.WithCancel(stop)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-stop.drain:
		case <-asking.Done():
		}
	}()
	for c.options.Ready != nil && !c.bugs.readyIgnored && c.options.Ready(asking) != nil {
		if stop.Err() != nil {
			return false
		}
	}
	return true
}

func (c *consumer) open(ctx context.Context) *session {
	s := &session{}
	s.ctx, s.lose = context.WithCancelCause(ctx)
	c.update(func() {
		c.session = s
		c.consumers = append(c.consumers, c)
		if c.queue == message.Announcements {
			c.listeners = append(c.listeners, c)
		}
	})
	return s
}

// close requeues the items that the session still holds.
func (c *consumer) close(s *session) {
	c.lost(s)
	c.update(func() {
		c.session = nil
		c.consumers = slices.DeleteFunc(c.consumers, func(o *consumer) bool { return o == c })
		c.listeners = slices.DeleteFunc(c.listeners, func(o *consumer) bool { return o == c })
		c.inbox = nil
	})
	s.lose(context.Canceled)
}

func (c *consumer) Check(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if (c.session == nil || c.suspended) && !c.bugs.checkAlwaysNil {
		return message.ErrNotConnected
	}
	return nil
}

func (m *memory) disconnect() {
	m.mu.Lock()
	consumers := slices.Clone(m.consumers)
	m.mu.Unlock()
	for _, c := range consumers {
		c.mu.Lock()
		s := c.session
		c.mu.Unlock()
		if s == nil {
			continue
		}
		c.lost(s)
		if m.bugs.lossNotAnnounced {
			s.lose(context.Canceled)
		} else {
			s.lose(fmt.Errorf("%w: test", message.ErrConnectionLost))
		}
	}
}

// lost requeues the items that a session holds, and counts them as delivered.
func (c *consumer) lost(s *session) {
	c.update(func() {
		for _, queue := range c.queues {
			for _, i := range slices.Clone(queue) {
				if i.holder == s {
					c.giveBack(i, !c.bugs.lossNotCounted)
				}
			}
		}
	})
}

// giveBack returns an item to its queue. The store is locked.
func (c *consumer) giveBack(i *item, counted bool) {
	i.holder = nil
	if c.bugs.newIDOnRedelivery {
		i.envelope.ID += "'"
	}
	if !counted {
		return
	}
	i.count++
	limit := map[message.Queue]int{message.Commands: message.CommandsDeliveryLimit, message.Returned: message.ReturnedDeliveryLimit}[i.queue]
	if limit > 0 && i.count > limit && !c.bugs.noDeliveryLimit {
		c.move(i, message.DeliveryLimit)
	}
}

// remove takes an item out of its queue. The store is locked.
func (m *memory) remove(i *item) {
	m.queues[i.queue] = slices.DeleteFunc(m.queues[i.queue], func(o *item) bool { return o == i })
}

// move dead-letters an item. The store is locked.
func (m *memory) move(i *item, death message.Death) {
	from := i.queue
	m.remove(i)
	if m.bugs.deadLetterDropped || from == message.Announcements && !m.bugs.rejectedAnnouncementDies {
		return
	}
	if m.bugs.deathForgotten {
		death = ""
	}
	to := message.DeadCommands
	switch {
	case from == message.Progress, from == message.DeadCommands, from == message.DeadEvents, from == message.Returned && m.bugs.returnedDropped,
		from == message.Events && m.bugs.deadEventDropped:
		return
	case from == message.Events:
		to = message.DeadEvents
	}
	m.queues[to] = append(m.queues[to], &item{envelope: i.envelope, queue: to, death: death})
}

// get takes up to n items, and waits for the first. It returns none if stop or the session ended.
func (c *consumer) get(stop stopping, s *session, n int) []claimed {
	for stop.Err() == nil {
		c.mu.Lock()
		changed := c.changed
		got := c.claim(s, n)
		c.mu.Unlock()
		if len(got) > 0 {
			return got
		}
		select {
		case <-changed:
		case <-stop.drain:
		case <-s.ctx.Done():
			return nil
		}
	}
	return nil
}

// claim takes up to n items that are there. The store is locked.
func (c *consumer) claim(s *session, n int) []claimed {
	var got []*item
	if s.ctx.Err() != nil || c.suspended {
		return nil
	}
	if c.queue == message.Announcements && !c.bugs.announcementsKept {
		n = min(n, len(c.inbox))
		got, c.inbox = c.inbox[:n], c.inbox[n:]
	} else {
		for _, i := range c.queues[c.queue] {
			if (i.holder == nil || c.bugs.noClaim && !i.seen[s]) && len(got) < n {
				got = append(got, i)
			}
		}
	}
	if h, ok := c.handler.(message.Batches); ok && c.bugs.batchWaits && len(got) < h.Max {
		return nil
	}
	var all []claimed
	for _, i := range got {
		i.holder, i.seen = s, map[*session]bool{s: true}
		if c.bugs.ackBeforeHandle {
			c.remove(i)
		}
		all = append(all, claimed{i, &message.Delivery{Envelope: i.envelope, DeliveryCount: i.count, Death: i.death}})
	}
	return all
}

// claimed is an item that a session holds, with its state when it was claimed.
type claimed struct {
	*item

	delivery *message.Delivery
}

// settle ends a delivery, unless this session no longer holds it.
func (c *consumer) settle(s *session, i claimed, outcome message.Outcome) {
	c.update(func() {
		lost := i.holder != s || errors.Is(context.Cause(s.ctx), message.ErrConnectionLost)
		if lost && !c.bugs.lateAckCounts {
			return
		}
		if s.ctx.Err() != nil && (outcome == message.Requeue || c.bugs.abandonedAckIgnored) && !c.bugs.lateAckCounts {
			return // the end of the session returns it
		}
		switch outcome {
		case message.Ack, message.Suspend:
			if c.bugs.ackIgnored {
				i.holder = nil
				return
			}
			c.remove(i.item)
		case message.DeadLetter:
			c.move(i.item, message.Rejected)
		default:
			if c.bugs.requeueDrops {
				c.remove(i.item)
			}
			c.giveBack(i.item, false)
		}
	})
}

func (c *consumer) each(stop stopping, s *session, h message.Each) {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	concurrency := h.Concurrency
	if c.bugs.noConcurrencyLimit {
		concurrency = 100
	}
	slots := make(chan struct{}, concurrency)
	ahead := 1
	if c.bugs.prefetchesMore {
		ahead = 10
	}
	for {
		select {
		case slots <- struct{}{}:
		case <-stop.drain:
			return
		case <-s.ctx.Done():
			return
		}
		got := c.get(stop, s, ahead)
		if len(got) == 0 {
			return
		}
		handlers.Go(func() {
			defer func() { <-slots }()
			for _, i := range got {
				if c.bugs.drainCountsNew && stop.endsWithin(time.Millisecond) {
					c.update(func() { c.giveBack(i.item, true) })
					return
				}
				outcome := h.Handle(i.delivery.Context(s.ctx), i.delivery)
				if c.bugs.drainDropsHand && stop.Err() != nil {
					return
				}
				if outcome == message.Suspend {
					c.suspend(true)
				}
				c.settle(s, i, outcome)
				if outcome == message.Suspend && c.ask(stop) {
					c.suspend(false)
				}
			}
		})
	}
}

func (c *consumer) suspend(on bool) {
	c.update(func() { c.suspended = on && !c.bugs.suspendIgnored })
}

func (c *consumer) batches(stop stopping, s *session, h message.Batches) {
	limit := h.Max
	if c.bugs.batchTooLarge {
		limit *= 2
	}
	for {
		got := c.get(stop, s, 2*limit) // one batch is taken while the one before is handled
		if len(got) == 0 {
			return
		}
		for len(got) > 0 && stop.Err() == nil {
			n := min(limit, len(got))
			if !c.batch(stop, s, h, got[:n]) {
				c.lost(s)
				return
			}
			got = got[n:]
		}
		c.update(func() {
			for _, i := range got {
				if i.holder == s {
					c.giveBack(i.item, c.bugs.drainCountsRest)
				}
			}
		})
	}
}

// batch handles one batch until it succeeds. It returns false if it was given up.
func (c *consumer) batch(stop stopping, s *session, h message.Batches, items []claimed) bool {
	var batch []*message.Delivery
	for _, i := range items {
		batch = append(batch, i.delivery)
	}
	if c.bugs.batchReversed {
		slices.Reverse(items)
		slices.Reverse(batch)
	}
	giveUp := time.Now().Add(c.options.RetryFor)
	for {
		err := h.Handle(s.ctx, batch)
		if err == nil || c.bugs.batchAckedOnError && !errors.Is(err, context.Canceled) {
			break
		}
		ended := stop.Err() != nil && !c.bugs.drainKeepsRetrying
		if ended || s.ctx.Err() != nil || time.Now().After(giveUp) {
			return false
		}
		if !c.bugs.marksKept {
			for _, d := range batch {
				d.Reset()
			}
		}
		if c.bugs.batchRetriesOne {
			items, batch = items[:1], batch[:1]
		}
	}
	marked := false
	for n, i := range items {
		outcome := message.Ack
		marked = marked || batch[n].DeadLettered()
		if batch[n].DeadLettered() && !c.bugs.markIgnored || c.bugs.markTakesAll && marked {
			outcome = message.DeadLetter
		}
		c.settle(s, i, outcome)
	}
	return true
}
