package fidelity

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docmill/docmill/client"
)

// Through returns a function that converts documents with a running Docmill and stores the PDFs as [Path] says.
func Through(docmill *client.Client, dir string) Convert {
	return func(ctx context.Context, pair Pair) (string, error) {
		job, err := docmill.SubmitFile(ctx, pair.Document)
		if err != nil {
			return "", fmt.Errorf("submit: %w", err)
		}
		if job, err = docmill.Wait(ctx, job); err != nil {
			return "", fmt.Errorf("wait for the conversion: %w", err)
		}
		if err := job.Err(); err != nil {
			return "", err
		}
		path := Path(dir, pair)
		const public = 0o755
		if err := os.MkdirAll(filepath.Dir(path), public); err != nil {
			return "", fmt.Errorf("create a directory for PDFs: %w", err)
		}
		if err := docmill.DownloadFile(ctx, job, path); err != nil {
			return "", fmt.Errorf("download the result: %w", err)
		}
		return path, nil
	}
}

// Stored returns a function that finds PDFs that were stored before as [Path] says.
func Stored(dir string) Convert {
	return func(_ context.Context, pair Pair) (string, error) {
		path := Path(dir, pair)
		_, err := os.Stat(path)
		return path, err
	}
}

// Path returns where the PDF of a pair is in a directory of outputs: dir/family/name.pdf.
func Path(dir string, pair Pair) string { return filepath.Join(dir, pair.String()+".pdf") }
