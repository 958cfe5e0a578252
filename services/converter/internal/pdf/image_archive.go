package pdf

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

	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// archive draws all pages into one zip file. Each image is removed from the disk once it is in the archive, so that the
// disk never holds both in full.
func (d *drawing) archive(ctx context.Context, images []pageImage) (path string, err error) {
	file, err := os.OpenFile(filepath.Join(d.Directory, "pages.zip"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("create the archive: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := zip.NewWriter(file)
	digits := max(3, len(strconv.Itoa(len(images))))
	for i, image := range images {
		if d.Progress != nil {
			d.Progress(100 * i / len(images))
		}
		path, err := d.draw(ctx, image)
		if err != nil {
			return "", err
		}
		name := fmt.Sprintf("page-%0*d.%s", digits, image.page, d.Target.Extension)
		if err := d.add(out, name, path); err != nil {
			return "", fmt.Errorf("add page %d to the archive: %w", image.page, err)
		}
	}
	if err := out.Close(); err != nil {
		return "", fmt.Errorf("complete the archive: %w", err)
	}
	return file.Name(), nil
}

// add moves an image into the archive. Only vector images are compressed: the others are already.
func (d *drawing) add(out *zip.Writer, name, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	header := &zip.FileHeader{Name: name, Method: zip.Store, Modified: time.Now().UTC()}
	if d.format.vector {
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
	if d.written += n; d.written >= d.limits.Disk {
		return engine.LimitExceeded(sandbox.ErrDisk)
	}
	return os.Remove(path)
}

func itoa(n int) string { return strconv.Itoa(n) }
