package jobstore

import "time"

// settled is how long a hold has to be observed, also in several parts, until a later jump does not extend it to the times that it has
// put in doubt. A service that is started for some minutes a day would delete nothing otherwise.
const settled = 10 * time.Minute

// Observation is what the housekeeping knows of the database's clock. After a jump forward, the clock may be wrong. So there is a
// hold, during which only that is deleted that has expired by the clock before the jump.
type Observation struct {
	// SeenAt is the clock at the last observation. It is zero if there was none.
	SeenAt time.Time
	// HeldUntil is the end of the hold; zero if there is none.
	HeldUntil time.Time
	// JumpedAt is when the hold began, moved by later jumps: the time between JumpedAt and SeenAt is that in which the hold was observed.
	JumpedAt time.Time
	// Trusted is the earliest time that it can be: the clock before the jump, and the time that the hold was observed since. It is zero if
	// that is not known, because a replica of an earlier release has noticed the jump.
	Trusted time.Time
}

// Held reports whether there is a hold.
func (o Observation) Held() bool { return !o.HeldUntil.IsZero() }

// Lag returns by how much the clock may be ahead. It is false if that is not known, and zero without a hold.
func (o Observation) Lag() (lag time.Duration, known bool) {
	if !o.Held() {
		return 0, true
	}
	return max(o.SeenAt.Sub(o.Trusted), 0), !o.Trusted.IsZero()
}

// Next returns the observation that follows when the clock is now. See Observe of [Housekeeping]. It is for implementations.
func (o Observation) Next(now time.Time, jump, hold time.Duration) Observation {
	next, step := o, now.Sub(o.SeenAt)
	held := o.HeldUntil.After(o.SeenAt)
	next.SeenAt = now
	switch {
	case o.SeenAt.IsZero(): // nothing is known of the clock
	case step > jump:
		next.HeldUntil = now.Add(hold)
		if held && o.SeenAt.Sub(o.JumpedAt) < settled {
			next.JumpedAt = o.JumpedAt.Add(step)
		} else {
			next.JumpedAt, next.Trusted = now, o.SeenAt
		}
	case step < -jump && held && now.Sub(o.Trusted).Abs() > jump: // it is not the clock before the jump
		next.HeldUntil, next.JumpedAt = now.Add(hold), o.JumpedAt.Add(step)
	case step < -jump:
		next.HeldUntil = time.Time{}
	case held && !o.Trusted.IsZero():
		next.Trusted = o.Trusted.Add(step)
	}
	if !next.HeldUntil.After(now) {
		return Observation{SeenAt: now}
	}
	return next
}
