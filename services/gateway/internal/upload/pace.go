package upload

import (
	"sync"
	"time"
)

// pace measures whether a client keeps to the minimum rate. The client has a credit of time, which starts at its
// maximum idle. The credit decreases while the upload waits for the client, and increases with each byte at the minimum
// rate. So a client that sends at that rate or faster, or that pauses for less than idle between bursts, never uses it
// up, and a client that sends nothing uses it up after idle. Time in which the body is not read does not count.
type pace struct {
	idle time.Duration
	rate int64 // in bytes per second; 0 means no minimum

	mutex       sync.Mutex
	credit      time.Duration
	since       time.Time // when the client began to be waited for; zero while it is not
	ended       bool
	interrupted error // the cause
}

func newPace(idle time.Duration, rate int64) *pace {
	return &pace{idle: idle, rate: rate, credit: idle}
}

// wait begins to wait for the client and calls setDeadline with the latest time at which the wait ends. It returns
// the cause if the upload was interrupted.
func (p *pace) wait(setDeadline func(time.Time)) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.interrupted != nil {
		return p.interrupted
	}
	p.since = time.Now()
	setDeadline(p.since.Add(p.credit))
	return nil
}

// received ends the wait for the client, which has sent n bytes.
func (p *pace) received(n int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.credit -= time.Since(p.since)
	p.since = time.Time{}
	if p.rate > 0 {
		p.credit += time.Duration(float64(n) / float64(p.rate) * float64(time.Second))
	} else if n > 0 {
		p.credit = p.idle
	}
	p.credit = min(p.credit, p.idle)
}

// end makes interrupt do nothing, and calls last, unless the upload was interrupted before.
func (p *pace) end(last func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.ended = true
	if p.interrupted == nil {
		last()
	}
}

// lag returns how much of the client's credit is spent.
func (p *pace) lag() time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	switch {
	case p.ended:
		return 0
	case p.since.IsZero():
		return p.idle - p.credit
	default:
		return p.idle - p.credit + time.Since(p.since)
	}
}

// interrupt ends the wait for the client with expire, and those to come.
func (p *pace) interrupt(cause error, expire func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if !p.ended {
		p.interrupted = cause
		expire()
	}
}

// interruption returns the cause if the upload was interrupted.
func (p *pace) interruption() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.interrupted
}
