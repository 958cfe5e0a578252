package render

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/docmill/docmill/services/converter/internal/sandbox"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// archive draws all pages into one file. Each picture leaves the disk when it is in the archive, so that both are never
// there in full.
func (j *job) archive(ctx context.Context, pictures []picture) (path string, err error) {
	file, err := os.OpenFile(filepath.Join(j.Folder, "pictures.zip"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("make the archive: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := zip.NewWriter(file)
	digits := max(3, len(strconv.Itoa(len(pictures))))
	for i, p := range pictures {
		if j.Progress != nil {
			j.Progress(100 * i / len(pictures))
		}
		picture, err := j.draw(ctx, p)
		if err != nil {
			return "", err
		}
		name := fmt.Sprintf("page-%0*d.%s", digits, p.page, j.Target.Extension)
		if err := j.add(out, name, picture); err != nil {
			return "", fmt.Errorf("put page %d into the archive: %w", p.page, err)
		}
	}
	if err := out.Close(); err != nil {
		return "", fmt.Errorf("end the archive: %w", err)
	}
	return file.Name(), nil
}

// add moves a picture into the archive. Only SVG gets smaller there.
func (j *job) add(out *zip.Writer, name, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	header := &zip.FileHeader{Name: name, Method: zip.Store, Modified: time.Now().UTC()}
	if j.Target.ID == "svg" {
		header.Method = zip.Deflate
	}
	entry, err := out.CreateHeader(header)
	if err != nil {
		return err
	}
	n, err := io.Copy(entry, in)
	if err != nil {
		return err
	}
	if j.written += n; j.written >= j.limits.Disk {
		return engine.Limited(sandbox.ErrDisk)
	}
	return os.Remove(path)
}

func itoa(n int) string { return strconv.Itoa(n) }
