package progress

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/docmill/docmill/client"
)

// bars shows a bar for each document that takes longer than patience, and one for all documents. Above the bars it prints
// a line for each document that has ended.
type bars struct {
	*lines

	mu        sync.Mutex
	container *mpb.Progress
	all       *mpb.Bar // nil if the number of documents is not known, or 1
	running   map[*barTrack]bool
	ended     int64
}

const (
	refresh = 100 * time.Millisecond
	// patience is how long a document takes before it gets a bar. A bar that is shown for a shorter time only flickers.
	patience = 300 * time.Millisecond
	barWidth = 24
	// nameWidth is how many columns a name may take.
	nameWidth = 32
	percent   = 100
	// uploaded and converted are the parts of a document's bar at which these steps end, in percent.
	uploaded, converted = 10, 95
)

func newBars(lines *lines) *bars { return &bars{lines: lines, running: map[*barTrack]bool{}} }

// open returns the container, and creates it if there is none. b.mu must be held.
func (b *bars) open() *mpb.Progress {
	if b.container != nil {
		return b.container
	}
	b.container = mpb.New(mpb.WithOutput(b.Stderr), mpb.WithRefreshRate(refresh), mpb.WithAutoRefresh())
	if b.Total > 1 {
		const last = 1 << 30
		b.all = b.container.AddBar(int64(b.Total), mpb.BarPriority(last), mpb.BarWidth(barWidth), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name("all documents", decor.WC{W: nameWidth, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.CountersNoUnit(" %d / %d")))
		b.all.SetCurrent(b.ended)
	}
	return b.container
}

// shut removes the bars and the container. b.mu must be held.
func (b *bars) shut() {
	if b.container == nil {
		return
	}
	for track := range b.running {
		track.hide()
	}
	if b.all != nil {
		b.all.Abort(true)
		b.all = nil
	}
	b.container.Wait()
	b.container = nil
}

// Begin implements Reporter.
func (b *bars) Begin(document string) Track {
	b.lines.Begin(document)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open()
	track := &barTrack{bars: b, document: document, began: time.Now()}
	track.phase.Store("waiting")
	b.running[track] = true
	track.appearing = time.AfterFunc(patience, track.appear)
	return track
}

// Note implements Reporter.
func (b *bars) Note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.print(text)
}

// print prints lines above the bars. b.mu must be held.
func (b *bars) print(text string) {
	if text == "" {
		return
	}
	if text[len(text)-1] != '\n' {
		text += "\n"
	}
	if b.container != nil {
		if _, err := b.container.Write([]byte(text)); err == nil {
			return
		}
	}
	_, _ = b.Stderr.WriteString(text)
}

// Pause implements Reporter.
func (b *bars) Pause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut()
}

// Close implements Reporter.
func (b *bars) Close() {
	b.Pause()
	b.lines.Close()
}

// end removes the bar of a document and prints the outcome, which is nil if the document was abandoned.
func (b *bars) end(track *barTrack, o *Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	track.appearing.Stop()
	track.hide()
	delete(b.running, track)
	if o == nil {
		return
	}
	b.count(*o)
	b.ended++
	success := b.success(*o)
	if success != "" && !IsTerminal(b.Stdout) {
		fmt.Fprintln(b.Stdout, success)
		success = ""
	}
	b.print(success)
	b.print(b.remarks(*o))
	if b.all != nil {
		b.all.SetCurrent(b.ended)
	}
}

// barTrack is the bar of a document.
type barTrack struct {
	bars     *bars
	document string
	began    time.Time
	phase    atomic.Value // string

	// The rest is guarded by bars.mu.
	bar       *mpb.Bar // nil until it is shown
	done      int64    // percent
	appearing *time.Timer
}

// Upload implements Track.
func (t *barTrack) Upload(sent, total int64) {
	if total > 0 {
		t.show("uploading", sent*uploaded/total)
	} else {
		t.show("uploading", 0)
	}
}

// Update implements Track.
func (t *barTrack) Update(job client.Job) {
	if job.Progress == nil {
		t.show(string(job.Status), uploaded)
		return
	}
	t.show(job.Progress.Phase, uploaded+int64(job.Progress.Percent)*(converted-uploaded)/percent)
}

// Download implements Track.
func (t *barTrack) Download() { t.show("downloading", converted) }

// End implements Track.
func (t *barTrack) End(o Outcome) { t.bars.end(t, &o) }

// Abandon implements Track.
func (t *barTrack) Abandon() { t.bars.end(t, nil) }

// show updates the phase and the bar.
func (t *barTrack) show(phase string, done int64) {
	t.phase.Store(Printable(phase))
	t.bars.mu.Lock()
	defer t.bars.mu.Unlock()
	t.done = done
	if t.bar != nil {
		t.bar.SetCurrent(done)
	}
}

// appear shows the bar, unless the document has ended.
func (t *barTrack) appear() {
	t.bars.mu.Lock()
	defer t.bars.mu.Unlock()
	if t.bars.running[t] && t.bar == nil {
		t.bar = t.bars.open().AddBar(percent, mpb.BarWidth(barWidth), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(short(t.document), decor.WC{W: nameWidth, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				text, _ := t.phase.Load().(string)
				return fmt.Sprintf(" %s %.0f s", text, time.Since(t.began).Seconds())
			})))
		t.bar.SetCurrent(t.done)
	}
}

// hide removes the bar. bars.mu must be held.
func (t *barTrack) hide() {
	if t.bar != nil {
		t.bar.Abort(true)
		t.bar.Wait()
		t.bar = nil
	}
}

// short returns the file name of a path. If it is too long for a bar, an ellipsis replaces its beginning.
func short(path string) string {
	runes := []rune(Printable(filepath.Base(path)))
	if len(runes) < nameWidth {
		return string(runes)
	}
	return "…" + string(runes[len(runes)-nameWidth+2:])
}
