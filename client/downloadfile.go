package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// DownloadFile stores the result of a job that succeeded at path, and replaces a file that is there. The file appears
// when it is complete and checked; until then the result is in a hidden file beside it, which is removed after an error.
// See [Client.Download].
//
// The name of the result, job.Result.Filename, comes from the person who submitted the document: if you use it as a path,
// be sure to replace only what may be replaced.
func (c *Client) DownloadFile(ctx context.Context, job Job, path string) (err error) {
	hidden := filepath.Join(filepath.Dir(path), ".docmill-"+rand.Text())
	const public = 0o666 // less the umask, like any other new file
	file, err := os.OpenFile(hidden, os.O_WRONLY|os.O_CREATE|os.O_EXCL, public)
	if err != nil {
		return fmt.Errorf("create a file for the result: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(hidden))
		}
	}()
	err = c.Download(ctx, job, file)
	if err == nil {
		err = file.Sync() // before the rename, or a power loss could leave an empty file
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(hidden, path)
}
