package httpserver //nolint:testpackage // the real limit is two minutes

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBlockedWriteIsGivenUp requests more than the buffers of a connection hold, and reads nothing.
func TestBlockedWriteIsGivenUp(t *testing.T) {
	t.Parallel()
	written := make(chan error, 1)
	address := serveLimited(t, func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for {
			if _, err := w.Write(piece); err != nil {
				written <- err
				return
			}
		}
	})
	client, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer client.Close()
	_, err = fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	var timeout net.Error
	require.ErrorAs(t, <-written, &timeout)
	require.True(t, timeout.Timeout())
}

// TestHandlerIsInChargeOfItsDeadline sets a deadline that has passed, and removes it.
func TestHandlerIsInChargeOfItsDeadline(t *testing.T) {
	t.Parallel()
	flushed := make(chan error, 1)
	address := serveLimited(t, func(w http.ResponseWriter, _ *http.Request) {
		controller := http.NewResponseController(w)
		_ = controller.SetWriteDeadline(time.Now().Add(-time.Second))
		flushed <- controller.Flush()
	})
	_, err := http.Get("http://" + address)
	require.Error(t, err)
	require.Error(t, <-flushed)

	address = serveLimited(t, func(w http.ResponseWriter, _ *http.Request) {
		controller := http.NewResponseController(w)
		_ = controller.SetWriteDeadline(time.Now().Add(-time.Second))
		_ = controller.SetWriteDeadline(time.Time{})
	})
	response, err := http.Get("http://" + address)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

func serveLimited(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(limitWrites(listener, 100*time.Millisecond)) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}
