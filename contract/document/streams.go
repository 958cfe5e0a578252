package document

import "io"

// streamFetches bounds the reading of [Streams] to 32 MiB. It is made for local files.
const streamFetches = 512

// Streams are what the top level of a compound file holds: a binary document of Office. It is for one goroutine at a time.
type Streams struct{ file *compound }

// OpenStreams reads the directory of a compound file of size bytes.
func OpenStreams(r io.ReaderAt, size int64) (*Streams, error) {
	file, err := openCompound(newWindow(r, size, streamFetches), size)
	if err != nil {
		return nil, err
	}
	return &Streams{file}, nil
}

// Has tells whether there is a stream or a storage of this name.
func (s *Streams) Has(name string) bool { return s.file.has(name) }

// Head gives up to limit bytes of the beginning of a stream; of a broken one, what could be read; of none, nothing.
func (s *Streams) Head(name string, limit int) []byte { return s.file.streamHead(name, limit) }
