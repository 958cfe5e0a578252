package httpapi_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/problem"
)

// drip sends a byte at each interval until the server ends the connection or the test ends.
func (c *client) drip(every time.Duration) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	c.t.Cleanup(func() {
		cancel()
		done.Wait()
	})
}

// formStart is the beginning of a form up to its file.
const (
	formHeader = "Content-Type: multipart/form-data; boundary=edge\r\n"
	formStart  = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"
)

// tricklers are ways to send next to nothing. Each sends its beginning, and from then on a byte at each interval.
var tricklers = map[string]struct {
	headers, start string
	bytes          int64
	every          time.Duration
}{
	"headers only":                   {named, "", 0, time.Hour},
	"a byte every 10 s":              {named, "a", 0, 10 * time.Second},
	"a byte every 100 ms":            {named, "a", 0, 100 * time.Millisecond},
	"form preamble":                  {formHeader, "preamble", 0, 100 * time.Millisecond},
	"form without its file":          {formHeader, "--edge\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\np", 0, 10 * time.Second},
	"form with 1 KiB of its file":    {formHeader, formStart, 1000, time.Second},
	"past the first bytes":           {named, "", 5000, 100 * time.Millisecond},
	"past the first bytes of a form": {formHeader, formStart, 5000, 10 * time.Second},
	"past the head":                  {named, "", 300 << 10, 10 * time.Millisecond},
}

// TestTricklersDoNotBlockUploads is the attack of 200 connections on 8 slots.
func TestTricklersDoNotBlockUploads(t *testing.T) {
	t.Parallel()
	g := setup(t)
	opened := 0
	for opened < 200 {
		for _, trickler := range tricklers {
			g.dial(t).begin(60<<20, trickler.headers).send(trickler.start).sendBytes(trickler.bytes).drip(trickler.every)
			opened++
		}
	}
	began := time.Now()
	for range 20 {
		at := time.Now()
		g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted)
		t.Logf("a good upload took %s", time.Since(at))
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { g.form(t, "large.txt", textOf(2<<20)).job(t, http.StatusAccepted) })
	}
	group.Wait()
	t.Logf("%d tricklers, 28 good uploads in %s", opened, time.Since(began))
}

func TestTricklersAreEnded(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) { c.settings.Upload.Idle, c.settings.MaxUploads = 3*time.Second, 100 })
	began := time.Now()
	clients := map[string]*client{}
	for name, trickler := range tricklers {
		clients[name] = g.dial(t).begin(60<<20, trickler.headers).send(trickler.start).sendBytes(trickler.bytes)
		clients[name].drip(trickler.every)
	}
	for name, c := range clients {
		detail := c.answer().problem(t, problem.UploadTooSlow).Detail
		if every := tricklers[name].every; every > 3*time.Second {
			// On a busy machine the average rate may be looked at first.
			require.Regexp(t, "Nothing arrived for 3s|8.0 KiB per second", detail, name)
		} else {
			require.Contains(t, detail, "8.0 KiB per second", name)
		}
	}
	require.Less(t, time.Since(began), patience)
	g.requireNothingStored(t)
	g.requireNothingQueued(t)
}

// TestSlowHonestClient sends 20 KiB/s on all slots, in pieces of different sizes, while others want one.
func TestSlowHonestClient(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) {
		c.settings.Upload.Idle, c.settings.MaxUploads, c.settings.SlotWait = 4*time.Second, 2, 2*time.Second
	})
	const size = 160 << 10
	var group sync.WaitGroup
	for _, step := range []struct {
		bytes int64
		every time.Duration
	}{{2 << 10, 100 * time.Millisecond}, {8 << 10, 400 * time.Millisecond}} {
		c := g.dial(t).begin(size, named).sendBytes(5000)
		group.Go(func() {
			tick := time.NewTicker(step.every)
			defer tick.Stop()
			for sent := int64(5000); sent < size; sent += step.bytes {
				c.sendBytes(min(step.bytes, size-sent))
				<-tick.C
			}
			c.answer().job(t, http.StatusAccepted)
		})
	}
	for range 4 {
		other := g.raw(t, deck, sample(t, deck)) // which has luck, or finds no slot
		require.Contains(t, []int{http.StatusAccepted, http.StatusServiceUnavailable}, other.StatusCode)
	}
	group.Wait()
}

func TestSlotsThatAreInUseStayInUse(t *testing.T) {
	t.Parallel()
	arrived, finish := make(chan struct{}, 2), make(chan struct{})
	g := setup(t, func(c *choices) { c.settings.MaxUploads, c.settings.SlotWait = 2, time.Second })
	g.tap.before(func(r *http.Request) {
		if r.Method == http.MethodPut {
			arrived <- struct{}{}
			<-finish
		}
	})
	first, second := g.dial(t).begin(1000, named).sendBytes(1000), g.dial(t).begin(1000, named).sendBytes(1000)
	<-arrived
	<-arrived
	busy := g.raw(t, deck, sample(t, deck))
	busy.problem(t, problem.Busy)
	require.Equal(t, "2", busy.Header.Get("Retry-After"))
	close(finish)
	first.answer().job(t, http.StatusAccepted)
	second.answer().job(t, http.StatusAccepted)
	g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted)
}

func TestTooManyOpenUploads(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) { c.settings.MaxOpenUploads, c.settings.MaxUploads = 2, 2 })
	for range 2 {
		c := g.dial(t).begin(1000, named+"Expect: 100-continue\r\n")
		line, err := c.reader.ReadString('\n') // the server reads the body now
		require.NoError(t, err)
		require.Contains(t, line, "100 Continue")
	}
	require.Eventually(t, func() bool { return g.raw(t, deck, sample(t, deck)).StatusCode == http.StatusAccepted },
		patience, 100*time.Millisecond, "an upload that sends nothing is replaced")
}

// TestMemoryOfAWaitingUpload holds connections that have sent 4,000 bytes of their document.
func TestMemoryOfAWaitingUpload(t *testing.T) { //nolint:paralleltest // it measures the process's memory
	const connections = 500
	g := setup(t)
	before := memory()
	for range connections {
		g.dial(t).begin(60<<20, formHeader).send(formStart).sendBytes(4000)
	}
	require.Eventually(t, func() bool { return g.inFlight(t) == connections }, patience, 10*time.Millisecond)
	each := (memory() - before) / connections
	t.Logf("%d bytes per connection, of the test's client too", each)
	require.Less(t, each, uint64(64<<10))
}

// memory returns the bytes of live objects and stacks.
func memory() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc + stats.StackInuse
}

// inFlight returns the gauge of open uploads.
func (g *gateway) inFlight(t testing.TB) int {
	t.Helper()
	families, err := g.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if strings.HasSuffix(family.GetName(), "uploads_in_flight") {
			return int(family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	require.Fail(t, "no gauge of uploads")
	return 0
}
