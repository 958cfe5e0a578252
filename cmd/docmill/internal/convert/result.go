package convert

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
	"github.com/docmill/docmill/cmd/docmill/internal/resultfile"
	"github.com/docmill/docmill/contract/format"
)

// result is where the result of a document is stored.
type result struct {
	document

	stdout io.Writer
	target string
	// replace reports whether a file at a path may be replaced.
	replace func(path string) bool
}

// open returns where the result of a document is stored. It returns an error if storing the result is certain to fail.
func (r *runner) open(d document) (*result, error) {
	stored := &result{document: d, stdout: r.stdout, target: r.target, replace: func(path string) bool { return r.mayReplace(d, path) }}
	if d.stem == "" {
		return stored, nil
	}
	return stored, stored.admit(stored.likely())
}

// likely returns the path of the result if that is not an archive.
func (r *result) likely() string {
	if r.whole {
		return r.stem
	}
	return r.stem + "." + formatOf(r.target).Extension
}

// archive returns the path of the result if that is an archive.
func (r *result) archive() string { return r.stem + "." + format.Archive().Extension }

// formatOf returns the target with an identifier.
func formatOf(target string) format.Target {
	for t := range format.AllTargets() {
		if t.ID == target {
			return t
		}
	}
	return format.Target{ID: target, Extension: target}
}

// admit returns an error if the file at a path must stay.
func (r *result) admit(path string) error {
	existing, err := os.Stat(path)
	source, sourceErr := os.Stat(r.path)
	if err == nil && sourceErr == nil && existing.Mode().IsRegular() && os.SameFile(source, existing) {
		return &remote.Fault{Code: remote.CodeExists, Detail: "The result would replace the document itself.", Remedy: "Give another --output."}
	}
	return resultfile.Admit(path, r.replace(path))
}

// pathOf returns where the result of a job is stored.
func (r *result) pathOf(job client.Job) (string, error) {
	extension, known := format.ResultExtension(job.Result.ContentType)
	if !known { // of a newer server
		extension = r.target
	}
	if !r.whole {
		return r.stem + "." + extension, nil
	}
	if archive := format.Archive().Extension; extension == archive && !strings.EqualFold(filepath.Ext(r.stem), "."+archive) {
		return "", &remote.Fault{
			Code: remote.CodeUnwritable, Detail: fmt.Sprintf("The document has %d pages, so the result is a zip archive of images.", job.Result.Pages),
			Remedy: "Give --output a directory or a name that ends in .zip, or select one page with --pages.",
		}
	}
	return r.stem, nil
}

// store downloads the result of a job, and returns its path.
func (r *result) store(ctx context.Context, from *client.Client, job client.Job) (string, error) {
	if r.stem == "" {
		err := invocation.Await(ctx, func() error { return from.Download(ctx, job, r.stdout) })
		return stdout, resultfile.Unwritable(err)
	}
	path, err := r.pathOf(job)
	if err != nil {
		return "", err
	}
	if err := r.admit(path); err != nil {
		return "", err
	}
	return path, resultfile.Store(ctx, from, job, path, r.replace(path))
}
