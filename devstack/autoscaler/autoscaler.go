// Package autoscaler computes the number of replicas of a deployment over time, as KEDA and Kubernetes' horizontal pod
// autoscaler (HPA) do together: KEDA scales from and to zero, the HPA between one replica and the maximum.
//
// It follows KEDA 2.20 and the HPA of Kubernetes 1.34 for one external metric with a target per replica (AverageValue).
// Times are since an arbitrary start.
package autoscaler

import (
	"math"
	"slices"
	"time"
)

// Constants of Kubernetes.
const (
	// SyncPeriod is the time between two decisions of the HPA: --horizontal-pod-autoscaler-sync-period.
	SyncPeriod = 15 * time.Second
	// tolerance is the deviation from the target that changes nothing: --horizontal-pod-autoscaler-tolerance.
	tolerance = 0.1
)

// Autoscaler decides about one deployment. It is not safe for concurrent use.
type Autoscaler struct {
	settings Settings
	// active is when a trigger was last active, and everActive reports whether one ever was.
	active     time.Duration
	everActive bool
	// proposed are the recent numbers of replicas that the metric alone would lead to; changes are the recent changes.
	proposed, changes []event
}

// event is a number of replicas, or a change of it, at a time.
type event struct {
	at       time.Duration
	replicas int
}

// New returns an autoscaler that has not seen anything yet.
func New(settings Settings) *Autoscaler { return &Autoscaler{settings: settings} }

// Poll is KEDA's decision, which is due every [Settings.PollingInterval]. It returns the number of replicas to set, from
// the present one and the value of the metric.
func (a *Autoscaler) Poll(now time.Duration, metric float64, replicas int) int {
	if metric > 0 {
		a.active, a.everActive = now, true
		return max(replicas, 1, a.settings.MinReplicas)
	}
	if a.settings.MinReplicas > 0 || a.everActive && now-a.active < a.settings.CooldownPeriod {
		return max(replicas, a.settings.MinReplicas)
	}
	return 0
}

// Sync is the HPA's decision, which is due every [SyncPeriod]. It returns the number of replicas to set, from the present
// one and the value of the metric. The HPA does nothing while there are no replicas.
func (a *Autoscaler) Sync(now time.Duration, metric float64, replicas int) int {
	if replicas == 0 {
		return 0
	}
	if a.proposed == nil { // the present number counts as the first proposal
		a.proposed = []event{{now, replicas}}
	}
	wanted := replicas
	if usage := metric / (a.settings.Target * float64(replicas)); math.Abs(usage-1) > tolerance {
		wanted = int(math.Ceil(metric / a.settings.Target))
	}
	wanted = a.limit(now, replicas, a.stabilize(now, replicas, wanted))
	if wanted != replicas {
		a.changes = append(a.changes, event{now, wanted - replicas})
	}
	return wanted
}

// stabilize returns the number of replicas that is closest to the present one among those proposed within the
// stabilization windows.
func (a *Autoscaler) stabilize(now time.Duration, replicas, wanted int) int {
	up, down := a.settings.ScaleUp.Stabilization, a.settings.ScaleDown.Stabilization
	a.proposed = append(since(a.proposed, now-max(up, down)), event{now, wanted})
	lowest, highest := wanted, wanted
	for _, one := range a.proposed {
		if one.at > now-up {
			lowest = min(lowest, one.replicas)
		}
		if one.at > now-down {
			highest = max(highest, one.replicas)
		}
	}
	return min(max(replicas, lowest), highest)
}

// limit limits a change by the policies and by the least and greatest number of replicas.
func (a *Autoscaler) limit(now time.Duration, replicas, wanted int) int {
	const longestPeriod = 30 * time.Minute // the greatest that Kubernetes accepts
	a.changes = since(a.changes, now-longestPeriod)
	switch {
	case wanted > replicas:
		most := replicas
		if limit, limited := a.settings.ScaleUp.limit(func(p Policy) int {
			return p.up(replicas - a.changed(now-p.Period))
		}); limited {
			most = max(most, limit)
		}
		wanted = min(wanted, most)
	case wanted < replicas:
		least := replicas
		if limit, limited := a.settings.ScaleDown.limit(func(p Policy) int {
			return -p.down(replicas - a.changed(now-p.Period))
		}); limited {
			least = min(least, -limit)
		}
		wanted = max(wanted, least)
	}
	return min(max(wanted, 1, a.settings.MinReplicas), a.settings.MaxReplicas)
}

// changed returns by how much the number of replicas has changed since a time.
func (a *Autoscaler) changed(from time.Duration) int {
	sum := 0
	for _, change := range a.changes {
		if change.at > from {
			sum += change.replicas
		}
	}
	return sum
}

// since removes events that are not later than a time.
func since(events []event, from time.Duration) []event {
	return slices.DeleteFunc(events, func(e event) bool { return e.at <= from })
}
