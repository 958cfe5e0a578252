// Package demo converts one document through Docmill's public HTTP API and prints the progress, as any client could do
// with plain HTTP and JSON.
package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/docmill/docmill/devstack/client"
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
	if err != nil {
		return fmt.Errorf("submit %s to %s: %w", options.File, options.BaseURL, err)
	}
	show(current.Status, "job %s: %s, %s", current.ID, current.Source.Filename, size(current.Source.Size))
	for !current.Ended() {
		before := describe(current)
		if current, err = c.Next(ctx, current); err != nil {
			return fmt.Errorf("poll the job: %w", err)
		}
		if describe(current) != before {
			show(current.Status, "%s", progress(current))
		}
	}
	if err := current.Failure(); err != nil {
		return err
	}
	path, err := download(ctx, c, current, options.OutputDir)
	if err != nil {
		return fmt.Errorf("download the result: %w", err)
	}
	show("stored", "%s, %s, %s", path, pages(current.Result.Pages), size(current.Result.Size))
	return nil
}

// download stores the result under its own name, after checking its SHA-256.
func download(ctx context.Context, c *client.Client, from client.Job, dir string) (path string, err error) {
	if from.Result == nil {
		return "", errors.New("the job succeeded without a result")
	}
	body, err := c.Result(ctx, from)
	if err != nil {
		return "", err
	}
	defer body.Close()
	file, err := os.CreateTemp(dir, ".docmill-*")
	if err != nil {
		return "", fmt.Errorf("create a file for the result: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, sum), body)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("store the result: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != from.Result.SHA256 {
		return "", fmt.Errorf("the downloaded result is damaged: its SHA-256 is %s, want %s", got, from.Result.SHA256)
	}
	const readable = 0o644
	if err := os.Chmod(file.Name(), readable); err != nil {
		return "", fmt.Errorf("store the result: %w", err)
	}
	path = filepath.Join(dir, filepath.Base(from.Result.Filename))
	if err := os.Rename(file.Name(), path); err != nil {
		return "", fmt.Errorf("store the result: %w", err)
	}
	return path, nil
}

func describe(j client.Job) string { return j.Status + progress(j) }

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
