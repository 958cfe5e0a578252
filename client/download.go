package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"
)

// ErrDamaged means that a downloaded result is not the one that Docmill stored: its size or its SHA-256 is different.
var ErrDamaged = errors.New("the downloaded result is damaged")

// downloadSilence is how long a download may bring nothing before its connection is given up.
const downloadSilence = time.Minute

// Download writes the result of a job that succeeded. After a lost connection it continues where it was. It checks the
// size and the SHA-256 at the end: if it returns an error, what was written must not be used. The error wraps
// [ErrDamaged], or the one of w. For a job that failed it is a [*JobError].
func (c *Client) Download(ctx context.Context, job Job, w io.Writer) error {
	if err := job.Err(); err != nil {
		return err
	}
	if job.Result == nil {
		return fmt.Errorf("the job %s is %s and has no result", job.ID, job.Status)
	}
	d := download{client: c, path: jobPath(job.ID) + "/result", size: job.Result.Size, target: w, sum: sha256.New()}
	tries := backoff{limits: c.retries}
	for d.received < d.size {
		before := d.received
		err := d.receive(ctx)
		if d.failure != nil {
			return fmt.Errorf("write the result: %w", d.failure)
		}
		if err == nil {
			continue
		}
		if d.received > before {
			tries.reset()
		}
		if errors.Is(err, ErrDamaged) || !passing(err) {
			return err
		}
		if err := tries.wait(ctx, err); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(d.sum.Sum(nil)); got != job.Result.SHA256 {
		return fmt.Errorf("%w: its SHA-256 is %s, not %s", ErrDamaged, got, job.Result.SHA256)
	}
	return nil
}

// download is a download that may need several requests.
type download struct {
	client *Client
	path   string
	size   int64
	target io.Writer

	sum      hash.Hash
	received int64
	// etag is the version of the result that the first request got.
	etag string
	// failure is that of the target.
	failure error
}

// receive requests what is missing, and writes it until the connection ends.
func (d *download) receive(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := d.client.newRequest(ctx, http.MethodGet, d.path, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Accept-Encoding", "identity") // ranges count the bytes that are sent
	if d.received > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.received))
		if d.etag != "" {
			request.Header.Set("If-Range", d.etag)
		}
	}
	response, err := d.client.send(request) //nolint:bodyclose // closed below, in its wrapper
	if err != nil {
		return err
	}
	body := &audible{ReadCloser: response.Body, limit: downloadSilence}
	defer body.Close()
	if d.received == 0 {
		d.etag = response.Header.Get("ETag")
	}
	if err := d.align(response, body); err != nil {
		return err
	}
	if _, err := io.Copy(d, io.LimitReader(body, d.size-d.received+1)); err != nil {
		return fmt.Errorf("receive the result: %w", err)
	}
	switch {
	case d.received > d.size:
		return fmt.Errorf("%w: it has more than %d bytes", ErrDamaged, d.size)
	case d.received < d.size:
		return fmt.Errorf("receive the result: %w", io.ErrUnexpectedEOF)
	default:
		return nil
	}
}

// align moves the body to the first byte that is missing. A server or proxy may ignore the range and send everything.
func (d *download) align(response *http.Response, body io.Reader) error {
	if response.StatusCode == http.StatusPartialContent {
		if !strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.received)) {
			return fmt.Errorf("%w: the server sent the range %q", ErrDamaged, response.Header.Get("Content-Range"))
		}
		return nil
	}
	if _, err := io.CopyN(io.Discard, body, d.received); err != nil {
		return fmt.Errorf("skip what was received before: %w", err)
	}
	return nil
}

// Write implements io.Writer for what arrives.
func (d *download) Write(p []byte) (int, error) {
	n, err := d.target.Write(p)
	d.sum.Write(p[:n])
	d.received += int64(n)
	d.failure = err
	return n, err
}
