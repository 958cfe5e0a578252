package client

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"slices"
	"sync"
)

// form is what surrounds the document in a request: Docmill needs the options first and the document last.
type form struct {
	head, tail  []byte
	contentType string
}

func newForm(name string, options map[string]string) (form, error) {
	var text bytes.Buffer
	parts := multipart.NewWriter(&text)
	for _, option := range slices.Sorted(maps.Keys(options)) {
		if err := parts.WriteField(option, options[option]); err != nil {
			return form{}, fmt.Errorf("write the option %s: %w", option, err)
		}
	}
	if _, err := parts.CreateFormFile("file", name); err != nil {
		return form{}, fmt.Errorf("write the name of the document: %w", err)
	}
	head := bytes.Clone(text.Bytes())
	text.Reset()
	if err := parts.Close(); err != nil {
		return form{}, fmt.Errorf("close the form: %w", err)
	}
	return form{head: head, tail: text.Bytes(), contentType: parts.FormDataContentType()}, nil
}

// upload is the body of one try of a submission: the form with the document in it.
type upload struct {
	whole    io.Reader
	document io.Reader
	// size is that of the document.
	size     int64
	progress func(sent, total int64)

	reading  sync.Mutex // protects the rest
	sent     int64
	detached bool
}

func newUpload(f form, document io.Reader, size int64, progress func(sent, total int64)) *upload {
	u := &upload{document: document, size: size, progress: progress}
	u.whole = io.MultiReader(bytes.NewReader(f.head), (*counted)(u), bytes.NewReader(f.tail))
	return u
}

// Read implements io.Reader for the HTTP client.
func (u *upload) Read(p []byte) (int, error) {
	u.reading.Lock()
	defer u.reading.Unlock()
	if u.detached {
		return 0, io.ErrClosedPipe
	}
	return u.whole.Read(p)
}

// detach returns when the document is not read any longer: after an answer or an error, the HTTP client may still be
// reading. It returns how much of the document was read.
func (u *upload) detach() int64 {
	u.reading.Lock()
	defer u.reading.Unlock()
	u.detached = true
	return u.sent
}

// counted reads the document of an upload and reports the progress.
type counted upload

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.document.Read(p)
	c.sent += int64(n)
	if n > 0 {
		c.progress(c.sent, c.size)
	}
	return n, err
}
