package download

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/jobapi"
)

// SendArchive answers r, a GET, with a zip archive of the results at locations, of which there is at least one. Results
// are stored as they are, because most formats are compressed already, and opened one after the other. The caller
// answers a problem that is returned before anything was written. After any other error it must break the connection: the
// response has no length, so the client would take it for a complete archive.
func (s *Sender) SendArchive(w http.ResponseWriter, r *http.Request, filename string, locations []jobapi.Location) error {
	first, err := s.open(r.Context(), locations[0])
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/zip")
	header.Set("Content-Disposition", disposition(filename))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	archive := zip.NewWriter(w)
	names := entryNames{}
	for i, location := range locations {
		body := first
		if i > 0 {
			if body, err = s.open(r.Context(), location); err != nil {
				return err
			}
		}
		if err := add(archive, names.next(location.Filename), location.Size, body); err != nil {
			return fmt.Errorf("archive the result %s: %w", location.ObjectKey, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	return flush(w)
}

// open opens a whole result. Its error is a problem.
func (s *Sender) open(ctx context.Context, location jobapi.Location) (io.ReadCloser, error) {
	body, err := blob.GetUnlessStalled(ctx, s.Results, location.ObjectKey, 0, -1, s.Stall)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	return body, nil
}

// add appends a file and closes it. A file that does not have the recorded size is an error.
func add(archive *zip.Writer, name string, size int64, body io.ReadCloser) error {
	defer body.Close()
	entry, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: time.Now()})
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, blob.Exactly(body, size))
	return err
}
