package httpserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"go.uber.org/zap"
)

// InProcess returns a RoundTripper that calls handler directly, without a network. It behaves like a server on the
// other end of a connection:
//
//   - Responses stream, in step with their reader: Flush sends what was written so far, and a handler that writes faster
//     than its response is read waits.
//   - The handler's context is canceled when the request's context is done or the response's body is closed early.
//   - A response that the handler finishes before it exceeds 2 KiB gets a Content-Length.
//   - A handler that panics breaks its own response only.
//
// Unlike with a connection, the handler's context has the values of the request's context, such as that of Draining.
// Trailers, informational responses (1xx), hijacking and deadlines are not supported.
func InProcess(handler http.Handler) http.RoundTripper { return inProcess{handler} }

type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (p inProcess) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	received := receivedRequest(ctx, request)
	body, writer := io.Pipe()
	w := &responseWriter{header: http.Header{}, method: request.Method, body: writer, committed: make(chan *http.Response, 1)}
	w.buffer = bufio.NewWriterSize(writerFunc(w.send), bufferSize)
	stop := context.AfterFunc(ctx, func() { writer.CloseWithError(context.Cause(ctx)) })
	failed := make(chan error, 1)
	go func() {
		err := w.serve(p.handler, received)
		if err == nil && ctx.Err() != nil { // its end may be due to that
			err = context.Cause(ctx)
		}
		_ = received.Body.Close()
		failed <- err // before the body ends
		stop()
		writer.CloseWithError(err) // io.EOF for nil
	}()
	var response *http.Response
	var err error
	select {
	case response = <-w.committed:
	case err = <-failed:
		select {
		case response = <-w.committed:
		default:
		}
	case <-ctx.Done():
	}
	// Over a network, the response of a handler whose client has gone is lost. The result here must not depend on which
	// of the two is noticed first.
	if cause := context.Cause(ctx); cause != nil {
		response, err = nil, cause
	}
	if response == nil {
		cancel()
		return nil, err
	}
	response.Request, response.Body = request, &responseBody{PipeReader: body, cancel: cancel}
	return response, nil
}

// receivedRequest returns the request as a server would see it.
func receivedRequest(ctx context.Context, request *http.Request) *http.Request {
	received := request.Clone(ctx)
	received.RequestURI = request.URL.RequestURI()
	if received.Host == "" {
		received.Host = request.URL.Host
	}
	if received.Body == nil {
		received.Body = http.NoBody
	}
	received.Proto, received.ProtoMajor, received.ProtoMinor = "HTTP/1.1", 1, 1
	received.RemoteAddr = "127.0.0.1:0"
	return received
}

// responseBody cancels the handler's context when it is closed.
type responseBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *responseBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// bufferSize is how much of a response is held back until it is flushed; it is that of net/http's server.
const bufferSize = 2048

// responseWriter is the handler's end. It is used by the handler's goroutine only.
type responseWriter struct {
	header    http.Header
	method    string
	body      *io.PipeWriter
	buffer    *bufio.Writer
	committed chan *http.Response

	status  int // 0 until WriteHeader
	final   http.Header
	sent    bool  // the response was committed
	ended   bool  // the handler has returned
	written int64 // by the handler
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
		w.final = w.header.Clone() // later changes have no effect
	}
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !bodyAllowed(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	return w.buffer.Write(p)
}

// FlushError sends what was written so far. http.ResponseController uses it.
func (w *responseWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if err := w.buffer.Flush(); err != nil {
		return err
	}
	w.commit(nil)
	return nil
}

// Flush implements http.Flusher.
func (w *responseWriter) Flush() { _ = w.FlushError() }

// send writes what comes out of the buffer.
func (w *responseWriter) send(p []byte) (int, error) {
	w.commit(p)
	if w.method == http.MethodHead {
		return len(p), nil
	}
	return w.body.Write(p)
}

// commit sends the header once. beginning is the first part of the body.
func (w *responseWriter) commit(beginning []byte) {
	if w.sent {
		return
	}
	w.sent = true
	if w.ended && bodyAllowed(w.status) && w.final.Get("Content-Length") == "" && (w.method != http.MethodHead || w.written > 0) {
		w.final.Set("Content-Length", strconv.FormatInt(w.written, 10))
	}
	if len(beginning) > 0 && w.final.Get("Content-Type") == "" && w.final.Get("Content-Encoding") == "" {
		w.final.Set("Content-Type", http.DetectContentType(beginning))
	}
	length, err := strconv.ParseInt(w.final.Get("Content-Length"), 10, 64)
	if err != nil {
		length = -1
	}
	if !bodyAllowed(w.status) && w.method != http.MethodHead {
		length = 0
	}
	w.committed <- &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.final, ContentLength: length,
	}
}

// bodyAllowed reports whether a response with the status has a body.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// serve calls the handler and finishes the response. It returns the error with which the body ends.
func (w *responseWriter) serve(handler http.Handler, request *http.Request) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicked(cause)
		}
	}()
	handler.ServeHTTP(w, request)
	w.ended = true
	return w.FlushError()
}

// errAborted is what a client sees of a handler that panics with http.ErrAbortHandler.
var errAborted = errors.New("the handler aborted the response")

func panicked(cause any) error {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return errAborted
	}
	return fmt.Errorf("the handler panicked: %v; %s", cause, zap.Stack("stack").String)
}
