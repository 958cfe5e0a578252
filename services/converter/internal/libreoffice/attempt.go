package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// diskInterval is how often a conversion's folder is measured. The kernel holds each file to the limit at once.
const diskInterval = 150 * time.Millisecond

// startPatience is how long a parent may take to fork. It takes 1 to 3 ms, after those that were asked for before.
const startPatience = 20 * time.Second

// openFiles is how many files a child may have open: LibreOffice was seen to use 40.
const openFiles = 1024

// attempt is one child's work on a document.
type attempt struct {
	office  *office
	request wire.Convert
	// asked is what the request comes from.
	asked  engine.Request
	target string
	limits limits
	// progress is told what the child reports; it may be nil.
	progress func(engine.Progress)
	// onStart is Engine.onStart.
	onStart func(folder string, pid int)
}

// limits are what one conversion may cost.
type limits struct {
	time         time.Duration
	memory, disk int64
	// pages are those of the result; 0 is any number.
	pages int
}

// end is how an attempt came out.
type end struct {
	wire.Done
	// limit is sandbox.ErrTime or sandbox.ErrDisk when it was ended for that, or nil.
	limit error
	// said is what LibreOffice said of a failure.
	said string
}

// prepare makes the child's folder and its order. Each attempt has a folder of its own: what an earlier one left in its own
// is not even seen.
func prepare(request engine.Request, source detect.Result, limits limits, number int) (attempt, error) {
	folder := filepath.Join(request.Folder, fmt.Sprintf("attempt-%d", number))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return attempt{}, fmt.Errorf("make the conversion's folder: %w", err)
	}
	target := filepath.Join(folder, "result."+request.Target.Extension)
	command := command(request.Options)
	path, err := loadable(request.Source, source, folder, command != "")
	if err != nil {
		return attempt{}, err
	}
	seconds := uint32(math.Ceil(limits.time.Seconds()))
	return attempt{
		asked: request, target: target, limits: limits, progress: request.Progress,
		request: wire.Convert{
			Limits: wire.Limits{
				Memory: uint64(limits.memory), FileSize: uint64(limits.disk), OpenFiles: openFiles,
				CPU: seconds * uint32(runtime.NumCPU()), // only for the case that nobody ends it in time
			},
			Folder: folder, Source: path,
			SourceURL: fileURL(path), LoadOptions: loadOptions(source.Import, request.Options.GetLocale()),
			TargetURL: fileURL(target), Format: request.Target.ID, SaveOptions: engine.ExportOptions(request), Command: command,
			Password: request.Password, Type: documentType(source.Format.Family),
		},
	}, nil
}

// command is what LibreOffice does with the open document first.
func command(options *conversionv1.Options) string {
	if options.GetUpdateIndexes() {
		return ".uno:UpdateAllIndexes"
	}
	return ""
}

func documentType(family format.Family) wire.Type {
	switch family {
	case format.Text:
		return wire.Text
	case format.Spreadsheet:
		return wire.Spreadsheet
	case format.Presentation:
		return wire.Presentation
	case format.Drawing:
		return wire.Drawing
	default:
		return wire.AnyType
	}
}

// loadOptions are LibreOfficeKit's: a language, no macros, and a filter's options, where there are any.
//
// The language is English of no country: with en-US, LibreOfficeKit's own choice, a document without a page size gets US
// Letter, where LibreOffice itself in the locale C.UTF-8 gives it A4. Dates and numbers are written as in en-US with both.
//
// LibreOffice 7.4 takes all that stands beside Language and Batch for the filter's options (desktop/source/lib/init.cxx), and
// breaks on a level of security there. The formats that have such options are texts, which have no macros; nor do macros
// run anywhere unless EnableMacrosExecution=true stands here too.
//
// Batch=true, which keeps windows with questions shut, is left to the warm documents: it holds for the whole process, and
// with it LibreOffice 25.2 does not ask for the password of the document either.
func loadOptions(source format.Import, locale string) string {
	if locale == "" {
		locale = "en"
	}
	common := "Language=" + locale + ","
	if source.Options == "" {
		return common + "MacroSecurityLevel=3"
	}
	return common + source.Options
}

// run runs the child to its end. When it returns, nothing of the attempt goes on. The error is ctx's, or says that the
// parent failed and the attempt was none.
func (a attempt) run(ctx context.Context) (end, error) {
	reports, pipe, err := os.Pipe()
	if err != nil {
		return end{}, fmt.Errorf("make a pipe for a conversion's reports: %w", err)
	}
	c, err := a.office.fork(a.request, pipe)
	_ = pipe.Close() // the parent has its own
	said := a.collect(reports)
	if err != nil {
		<-said
		return end{}, err
	}
	finished, err := a.await(ctx, c)
	// The reports end when the child is dead. If its parent is dead too, this is how to tell.
	finished.said = <-said
	return finished, err
}

// collect reads the child's reports in the background until the child is dead.
func (a attempt) collect(reports *os.File) <-chan string {
	result := make(chan string, 1)
	go func() {
		defer reports.Close()
		said, err := wire.Reports(reports, func(phase wire.Phase, percent int) {
			if a.progress != nil {
				a.progress(engine.Progress{Phase: phaseNames()[phase], Percent: percent})
			}
		})
		if err != nil {
			_, _ = io.Copy(io.Discard, reports) // what it still writes is for nobody; its end is
		}
		result <- said
	}()
	return result
}

func phaseNames() map[wire.Phase]engine.Phase {
	return map[wire.Phase]engine.Phase{wire.Loading: engine.Loading, wire.Saving: engine.Saving}
}

func (a attempt) await(ctx context.Context, c *forked) (end, error) {
	start := time.NewTimer(startPatience)
	defer start.Stop()
	select {
	case started := <-c.started:
		if a.onStart != nil {
			a.onStart(a.request.Folder, started.PID)
		}
		return a.watch(ctx, c)
	case refused := <-c.refused:
		return end{}, fmt.Errorf("%w: no child could be forked: %s", errRefused, refused.Reason)
	case <-a.office.gone:
		return end{}, a.office.reason
	case <-start.C:
		return end{}, errors.Join(errUnanswered, a.office.process.Kill())
	}
}

// watch waits for a working child, and ends it at its limits or when ctx is done.
func (a attempt) watch(ctx context.Context, c *forked) (end, error) {
	deadline := time.NewTimer(a.limits.time)
	defer deadline.Stop()
	ticker := time.NewTicker(diskInterval)
	defer ticker.Stop()
	for {
		var limit error
		select {
		case done := <-c.done:
			return end{Done: done, limit: a.disk()}, nil
		case <-a.office.gone:
			return a.gone(c)
		case <-ctx.Done():
			_, err := a.office.end(c)
			return end{}, errors.Join(ctx.Err(), err)
		case <-deadline.C:
			limit = fmt.Errorf("%w: %s", sandbox.ErrTime, a.limits.time)
		case <-ticker.C:
			limit = a.disk()
		}
		if limit != nil {
			// Whether it is still dying or the parent goes down as well: this is its end.
			done, _ := a.office.end(c)
			return end{Done: done, limit: limit}, nil
		}
	}
}

// gone looks whether the child had ended before its parent did.
func (a attempt) gone(c *forked) (end, error) {
	select {
	case done := <-c.done:
		return end{Done: done, limit: a.disk()}, nil
	default:
		return end{}, a.office.reason
	}
}

// disk returns sandbox.ErrDisk when the child's folder has grown to its limit.
func (a attempt) disk() error {
	size, err := sandbox.Usage(a.request.Folder)
	if err != nil {
		return nil //nolint:nilerr // it was there at the start, and the kernel's limit for each file holds anyway
	}
	if size >= a.limits.disk {
		return fmt.Errorf("%w: %d MiB of %d", sandbox.ErrDisk, size>>20, a.limits.disk>>20)
	}
	return nil
}
