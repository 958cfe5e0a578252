package simulation

import (
	"math"
	"time"

	"github.com/docmill/docmill/devstack/autoscaler"
)

// clock runs an autoscaler at its intervals. A nil clock never does anything.
type clock struct {
	scaler *autoscaler.Autoscaler
	// polling, syncing and counting are the next times, and pollEvery, syncEvery and countEvery the intervals, in seconds.
	polling, syncing, counting       float64
	pollEvery, syncEvery, countEvery float64
	// counted is the number of unacknowledged and waiting commands in the broker's statistics.
	counted int
}

// newClock returns a clock for a deployment that has had that many replicas.
func newClock(settings autoscaler.Settings, statistics time.Duration, replicas int) *clock {
	c := &clock{
		scaler:    autoscaler.New(settings),
		pollEvery: settings.PollingInterval.Seconds(), syncEvery: autoscaler.SyncPeriod.Seconds(), countEvery: statistics.Seconds(),
	}
	c.polling, c.syncing, c.counting = c.pollEvery, c.syncEvery, c.countEvery
	c.scaler.Poll(0, float64(replicas), replicas) // they were needed until now
	if c.countEvery <= 0 {
		c.counting = math.Inf(1)
	}
	return c
}

// next returns when the autoscaler is due, in seconds.
func (c *clock) next() float64 {
	if c == nil {
		return math.Inf(1)
	}
	return min(c.polling, c.syncing, c.counting)
}

// tick does what is due and returns the wanted number of replicas.
func (c *clock) tick(now time.Duration, waiting, busy, replicas int) int {
	due := c.next()
	if c.counting <= due {
		c.counting += c.countEvery
		c.counted = waiting + busy
	}
	metric := float64(waiting + busy)
	if c.countEvery > 0 {
		metric = float64(max(waiting, c.counted))
	}
	if c.polling <= due {
		c.polling += c.pollEvery
		replicas = c.scaler.Poll(now, metric, replicas)
	}
	if c.syncing <= due {
		c.syncing += c.syncEvery
		replicas = c.scaler.Sync(now, metric, replicas)
	}
	return replicas
}
