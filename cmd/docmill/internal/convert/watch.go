package convert

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
)

const (
	// settleTime is how long a file must stay as it is before it counts as complete.
	settleTime = 400 * time.Millisecond
	// settleCheck is how often files that are not complete are looked at.
	settleCheck = 200 * time.Millisecond
)

// watch converts the documents that exist, and then those that arrive, until ctx ends.
func (j *job) watch(ctx context.Context, r *runner) error {
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		return invocation.Errorf(invocation.Failed, "watch directories: %w", err)
	}
	defer notifier.Close()
	w := &watcher{
		job: j, notifier: notifier, arriving: map[string]arrival{}, done: map[string]version{},
		busy: map[string]bool{}, queue: make(chan document), ended: make(chan document),
	}
	for _, root := range j.Watch {
		if err := w.enter(root, root); err != nil {
			return invocation.Errorf(invocation.Usage, "watch %s: %w", root, err)
		}
	}
	var workers sync.WaitGroup
	workers.Go(func() {
		r.each(ctx, w.queue, func(d document) {
			select {
			case w.ended <- d:
			case <-ctx.Done():
			}
		})
	})
	if !j.Quiet {
		r.report.Note("watching " + strings.Join(j.Watch, ", ") + "; stop with Ctrl-C")
	}
	err = w.run(ctx, r)
	close(w.queue)
	workers.Wait()
	return err
}

// watcher finds documents that arrive in directories.
type watcher struct {
	job      *job
	notifier *fsnotify.Watcher
	// arriving are the files that were seen and are not complete.
	arriving map[string]arrival
	// waiting are complete documents for which there was no room in the queue.
	waiting []document
	// queue takes documents to the workers, and ended brings them back.
	queue, ended chan document
	// busy are the documents in between: one that changes meanwhile is converted after that, not at the same time.
	busy map[string]bool

	// done has the versions of the documents that were queued.
	done map[string]version
}

// version tells whether a file has changed.
type version struct {
	size     int64
	modified time.Time
}

// arrival is a file that may not be complete.
type arrival struct {
	root  string
	seen  version
	since time.Time
}

// run queues documents when they are complete.
func (w *watcher) run(ctx context.Context, r *runner) error {
	for _, d := range w.job.documents {
		w.offer(r, d)
	}
	check := time.NewTicker(settleCheck)
	defer check.Stop()
	for {
		var next document
		var queue chan document // nil, so that nothing is sent, while there is nothing
		if len(w.waiting) > 0 {
			next, queue = w.waiting[0], w.queue
		}
		select {
		case queue <- next:
			w.waiting = w.waiting[1:]
		case d := <-w.ended:
			delete(w.busy, d.path)
		case event := <-w.notifier.Events:
			w.notice(event)
		case err := <-w.notifier.Errors:
			w.recover(r, err)
		case <-check.C:
			w.settle(r)
		case <-ctx.Done():
			return nil
		}
	}
}

// enter watches a directory below root, and those in it, and notes the files in them.
func (w *watcher) enter(root, directory string) error {
	return filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if path != root && errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if !entry.IsDir() {
			w.see(root, path)
			return nil
		}
		if path != root && (hidden(entry.Name()) || w.job.search.holdsResults(path)) {
			return fs.SkipDir
		}
		return w.notifier.Add(path)
	})
}

// see notes a file that may have to be converted.
func (w *watcher) see(root, path string) {
	if !w.job.search.convertible(filepath.Base(path)) {
		return
	}
	a, known := w.arriving[path]
	if !known {
		a.root = root
	}
	a.since = time.Now()
	w.arriving[path] = a
}

// notice handles a change.
func (w *watcher) notice(event fsnotify.Event) {
	if !event.Op.Has(fsnotify.Create) && !event.Op.Has(fsnotify.Write) {
		return
	}
	root := w.rootOf(event.Name)
	if isDirectory(event.Name) {
		_ = w.enter(root, event.Name) // it may be gone again
		return
	}
	w.see(root, event.Name)
}

func (w *watcher) rootOf(path string) string {
	for _, root := range w.job.Watch {
		if relative, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(relative) {
			return root
		}
	}
	return filepath.Dir(path)
}

// recover looks at everything again after changes were lost, because there were too many.
func (w *watcher) recover(r *runner, err error) {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		r.report.Note("docmill convert: watch: " + err.Error())
	}
	for _, root := range w.job.Watch {
		if err := w.enter(root, root); err != nil {
			r.report.Note("docmill convert: watch: " + err.Error())
		}
	}
}

// settle queues the files that are complete: not empty, unchanged for a while, and not open for writing.
func (w *watcher) settle(r *runner) {
	for path, a := range w.arriving {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			delete(w.arriving, path)
			continue
		}
		now := version{info.Size(), info.ModTime()}
		if now != a.seen {
			a.seen, a.since = now, time.Now()
			w.arriving[path] = a
			continue
		}
		if now.size == 0 || time.Since(a.since) < settleTime || w.busy[path] || isBeingWritten(path) {
			continue
		}
		delete(w.arriving, path)
		if d, ok := w.job.search.document(a.root, path); ok {
			w.offer(r, d)
		}
	}
}

// offer puts a document into the queue, unless this version of it was converted before.
func (w *watcher) offer(r *runner, d document) {
	if d.known == nil {
		w.waiting = append(w.waiting, d)
		return
	}
	now := version{d.known.Size(), d.known.ModTime()}
	before, known := w.done[d.path]
	if known && before == now {
		return
	}
	w.done[d.path] = now
	if err := w.job.places.add(&d); err != nil {
		r.report.Note("docmill convert: " + err.Error())
		return
	}
	if !known && w.current(r, d) {
		return
	}
	w.busy[d.path] = true
	w.waiting = append(w.waiting, d)
}

// current reports whether a document has a result that is newer: an earlier run has converted it.
func (w *watcher) current(r *runner, d document) bool {
	stored := &result{document: d, target: r.target}
	info, err := os.Stat(stored.likely())
	return err == nil && info.ModTime().After(d.known.ModTime())
}

// isBeingWritten reports whether a process has the file open for writing. The kernel gives a read lease only if none
// has. Where it gives none at all, as for files of other users, only the time counts.
func isBeingWritten(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close() // which ends the lease
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	return errors.Is(err, unix.EAGAIN)
}
