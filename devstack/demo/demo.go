// Package demo converts one document through Docmill's public HTTP API and prints the progress, with the Go client.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docmill/docmill/client"
)

// Options are the parameters of [Run].
type Options struct {
	// BaseURL is the URL of a running Docmill: http://127.0.0.1:8080
	BaseURL string
	// File is the document to convert.
	File string
	// OutputDir receives the result.
	OutputDir string
	// Output receives human-readable progress.
	Output io.Writer
}

// Run submits the file, prints each state of its job, and stores the result.
func Run(ctx context.Context, options Options) error {
	c := client.New(options.BaseURL)
	start := time.Now()
	show := func(what, format string, args ...any) {
		fmt.Fprintf(options.Output, "%6.2f s  %-10s %s\n", time.Since(start).Seconds(), what, fmt.Sprintf(format, args...))
	}
	current, err := c.SubmitFile(ctx, options.File)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no server listens at %s; is Docmill running? `make up` starts it", options.BaseURL)
	}
	if err != nil {
		return fmt.Errorf("submit %s to %s: %w", options.File, options.BaseURL, err)
	}
	show(string(current.Status), "job %s: %s, %s", current.ID, current.Source.Filename, size(current.Source.Size))
	for next, err := range c.Events(ctx, current.ID) {
		if err != nil {
			return fmt.Errorf("follow the job: %w", err)
		}
		if describe(next) != describe(current) {
			show(string(next.Status), "%s", progress(next))
		}
		current = next
	}
	if err := current.Err(); err != nil {
		return err
	}
	if current.Result == nil {
		return fmt.Errorf("the events ended while the job was %s", current.Status)
	}
	path := filepath.Join(options.OutputDir, filepath.Base(current.Result.Filename))
	if err := c.DownloadFile(ctx, current, path); err != nil {
		return fmt.Errorf("download the result: %w", err)
	}
	show("stored", "%s, %s, %s", path, pages(current.Result.Pages), size(current.Result.Size))
	return nil
}

func describe(j client.Job) string { return string(j.Status) + progress(j) }

func progress(j client.Job) string {
	if j.Progress == nil {
		return ""
	}
	return fmt.Sprintf("%s, %d %%", j.Progress.Phase, j.Progress.Percent)
}

func pages(n int) string {
	if n == 1 {
		return "1 page"
	}
	return fmt.Sprintf("%d pages", n)
}

// size formats a size in bytes for humans.
func size(n int64) string {
	const kilo, mega = 1e3, 1e6
	switch {
	case n < kilo:
		return fmt.Sprintf("%d bytes", n)
	case n < mega:
		return fmt.Sprintf("%.0f kB", float64(n)/kilo)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/mega)
	}
}
