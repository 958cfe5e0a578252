package download

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// idle is the maximum time that a client may accept no data. Linux reports a socket as writable only when a third of
// its send buffer is free, and that grows to about 4 MiB: with 30 s a client of 40 KiB/s was cut off while it read
// steadily. This value suits clients of 12 KiB/s, and limits how long a lost client holds a connection to the store.
const idle = 2 * time.Minute

// paced is a response that limits slow clients: their idle time starts again with each piece.
type paced struct {
	http.ResponseWriter

	control *http.ResponseController
}

func pace(w http.ResponseWriter) paced {
	return paced{ResponseWriter: w, control: http.NewResponseController(w)}
}

// Write implements http.ResponseWriter.
func (p paced) Write(piece []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(idle))
	return p.ResponseWriter.Write(piece)
}

// end sends what is buffered and prepares the connection for the next request.
func (p paced) end() error {
	err := p.control.Flush() // while the deadline is set; the server's own flush has none
	_ = p.control.SetWriteDeadline(time.Time{})
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("send the result: %w", err)
	}
	return nil
}
