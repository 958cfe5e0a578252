package convert

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
	"github.com/docmill/docmill/contract/format"
)

const (
	// settleTime is how long a file must not change before it counts as complete.
	settleTime = 400 * time.Millisecond
	// settleCheck is the time between two checks of the files that are not complete.
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
		job: j, notifier: notifier, note: func(err error) { r.report.Note("docmill convert: " + progress.Printable(err.Error())) }, arriving: map[string]arrival{}, done: map[string]version{},
		busy: map[string]bool{}, queue: make(chan document), ended: make(chan document),
	}
	for _, root := range j.Watch {
		if err := w.begin(root); err != nil {
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
	note     func(error)
	// arriving has the files that may not be complete, by path.
	arriving map[string]arrival
	// waiting are complete documents that no worker has taken yet.
	waiting []document
	// queue has documents for the workers, which send each to ended after its conversion.
	queue, ended chan document
	// busy has the paths of documents that are waiting or being converted. One that changes meanwhile is converted again
	// after that, not at the same time.
	busy map[string]bool

	// done has the versions of the documents that were queued, by path.
	done map[string]version
}

// version identifies the content of a file: if the file changes, so does its version.
type version struct {
	size     int64
	modified time.Time
}

// arrival is a file that may not be complete.
type arrival struct {
	root  string
	seen  version
	since time.Time
	// early is set if the file existed when the watch began.
	early bool
}

// run queues documents when they are complete.
func (w *watcher) run(ctx context.Context, r *runner) error {
	for _, d := range w.job.documents {
		w.offer(r, d, false)
	}
	check := time.NewTicker(settleCheck)
	defer check.Stop()
	for {
		var next document
		var queue chan document // nil, which blocks, if no document is waiting
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
			w.recover(err)
		case <-check.C:
			w.settle(r)
		case <-ctx.Done():
			return nil
		}
	}
}

// begin watches a directory, which may be a link, and notes the files in it.
func (w *watcher) begin(root string) error {
	info, err := os.Stat(root)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err == nil {
		err = w.notifier.Add(root)
	}
	if err != nil {
		return err
	}
	w.enter(root, root+"/")
	for path, a := range w.arriving {
		a.early = true
		w.arriving[path] = a
	}
	return nil
}

// enter watches a directory, which is root or below it, with all directories below, and notes their files. Links are not
// followed. A directory that cannot be read is reported and left out.
func (w *watcher) enter(root, directory string) {
	_ = filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		path = filepath.Clean(path)
		switch {
		case err != nil: // of a directory
		case !entry.IsDir():
			if entry.Type().IsRegular() {
				w.see(root, path)
			}
			return nil
		case w.job.search.leavesOut(root, path):
			return fs.SkipDir
		default:
			if err = w.notifier.Add(path); err != nil {
				err = &fs.PathError{Op: "watch", Path: path, Err: err}
			}
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) { // it was deleted meanwhile
			w.note(err)
		}
		return fs.SkipDir
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
	a.since, a.early = time.Now(), false
	w.arriving[path] = a
}

// notice handles a change.
func (w *watcher) notice(event fsnotify.Event) {
	path := filepath.Clean(event.Name)
	if event.Op.Has(fsnotify.Remove) || event.Op.Has(fsnotify.Rename) {
		delete(w.done, path) // otherwise done would grow with each document
	}
	if !event.Op.Has(fsnotify.Create) && !event.Op.Has(fsnotify.Write) {
		return
	}
	info, err := os.Lstat(path)
	switch root := w.rootOf(path); {
	case err != nil: // it is gone again
	case info.IsDir():
		w.enter(root, path)
	default:
		w.see(root, path)
	}
}

func (w *watcher) rootOf(path string) string {
	for _, root := range w.job.Watch {
		if relative, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(relative) {
			return root
		}
	}
	return filepath.Dir(path)
}

// recover handles an error of the notifier. It searches all directories again, because changes may have been lost: the
// kernel drops them if there are too many.
func (w *watcher) recover(err error) {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		w.note(err)
	}
	for _, root := range w.job.Watch {
		w.enter(root, root+"/")
	}
}

// settle queues the files that are complete: not empty, unchanged for a while, and not open for writing.
func (w *watcher) settle(r *runner) {
	for _, path := range slices.Sorted(maps.Keys(w.arriving)) {
		a := w.arriving[path]
		info, err := os.Lstat(path)
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
			w.offer(r, d, a.early)
		}
	}
}

// offer adds a document to those that wait, unless this version of it was converted before. early is set if the document
// existed when the watch began: an earlier run of the command may have converted it.
func (w *watcher) offer(r *runner, d document, early bool) {
	if d.known == nil {
		w.waiting = append(w.waiting, d)
		return
	}
	now := version{d.known.Size(), d.known.ModTime()}
	if w.done[d.path] == now {
		return
	}
	w.done[d.path] = now
	if err := w.job.places.add(&d, w.job.search.sharesName(d)); err != nil {
		w.note(err)
		return
	}
	if early {
		if newer := current(r, d); newer != "" {
			if !w.job.Quiet {
				r.report.Note(progress.Printable(d.path) + ": left out, because " + progress.Printable(newer) + " is newer")
			}
			return
		}
	}
	w.busy[d.path] = true
	w.waiting = append(w.waiting, d)
}

// current returns the path of a document's result if there is one that is newer than the document, and "" otherwise.
func current(r *runner, d document) string {
	stored := &result{document: d, target: r.target}
	places := []string{stored.likely()}
	if formatOf(r.target).Kind == format.Images {
		places = append(places, stored.archive())
	}
	for _, path := range places {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(d.known.ModTime()) {
			return path
		}
	}
	return ""
}

// isBeingWritten reports whether a process has the file open for writing: the kernel then refuses a read lease with
// EAGAIN, see fcntl(2). It returns false if the kernel refuses the lease for another reason, as for files of other users.
// Such files are complete after settleTime.
func isBeingWritten(path string) bool {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0) // it may be a link or a pipe by now
	if err != nil {
		return false
	}
	defer file.Close() // which ends the lease
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	return errors.Is(err, unix.EAGAIN)
}
