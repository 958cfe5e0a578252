package process

import (
	"bytes"
	"io"
	"os"
)

// The limits of a tail: what fits on a screen.
const (
	tailBytes = 4 << 10
	tailLines = 25
)

// tail returns the last lines of the file after offset, or "" if there are none.
func tail(path string, offset int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size()-offset > tailBytes {
		offset = info.Size() - tailBytes
	}
	text, err := io.ReadAll(io.NewSectionReader(file, offset, tailBytes))
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}
