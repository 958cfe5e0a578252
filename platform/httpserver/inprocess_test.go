package httpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/platform/httpserver"
)

// do sends a request to a handler in the process.
func do(t *testing.T, handler http.HandlerFunc, request *http.Request) (*http.Response, error) {
	t.Helper()
	response, err := httpserver.InProcess(handler).RoundTrip(request)
	if err == nil {
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	return response, err
}

func newRequest(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://status/path?a=b", body)
	require.NoError(t, err)
	return request
}

// TestInProcessIsLikeAServer compares the responses of simple handlers with those of a real server.
func TestInProcessIsLikeAServer(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"nothing":      func(http.ResponseWriter, *http.Request) {},
		"small":        func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "small") },
		"large":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 100_000)) },
		"no content":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"not modified": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"error":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusTeapot) },
		"twice": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			w.Header().Set("Late", "yes")
			_, _ = io.WriteString(w, "<html>")
		},
		"header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Add("A", "1")
			w.Header().Add("A", "2")
			_, _ = io.WriteString(w, "12345")
		},
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "12345")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "678")
		},
		"request": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintln(w, r.Method, r.RequestURI, r.URL.Path, r.URL.RawQuery, r.Proto, r.ContentLength, string(body), r.Header.Get("Accept"))
		},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(handler)
				defer server.Close()
				var body io.Reader
				if method == http.MethodPost {
					body = strings.NewReader("the body")
				}
				request := newRequest(t, method, body)
				request.Header.Set("Accept", "text/plain")
				got, err := do(t, handler, request)
				require.NoError(t, err)
				over := request.Clone(t.Context())
				over.URL.Host = server.Listener.Addr().String()
				if method == http.MethodPost {
					over.Body = io.NopCloser(strings.NewReader("the body"))
				}
				want, err := http.DefaultTransport.RoundTrip(over)
				require.NoError(t, err)
				defer want.Body.Close()
				want.Header.Del("Date")
				require.Equal(t, want.StatusCode, got.StatusCode)
				require.Equal(t, want.Status, got.Status)
				require.Equal(t, want.Header, got.Header)
				require.Equal(t, want.ContentLength, got.ContentLength)
				wantBody, err := io.ReadAll(want.Body)
				require.NoError(t, err)
				gotBody, err := io.ReadAll(got.Body)
				require.NoError(t, err)
				require.Equal(t, string(wantBody), string(gotBody))
			})
		}
	}
}

func TestInProcessStreams(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	events := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		_ = control.Flush()
		for event := range next {
			fmt.Fprintf(w, "data: %s\n", event)
			_ = control.Flush()
		}
	}
	response, err := do(t, events, newRequest(t, http.MethodGet, nil))
	require.NoError(t, err, "the header comes before the first event")
	lines := bufio.NewReader(response.Body)
	for _, event := range []string{"one", "two", "three"} {
		next <- event
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data: "+event+"\n", line)
	}
	close(next)
	_, err = lines.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

// TestInProcessBehindReverseProxy is how the gateway calls status.
func TestInProcessBehindReverseProxy(t *testing.T) {
	t.Parallel()
	next, left := make(chan string), make(chan struct{})
	engine := httpserver.NewEngine("inner", zaptest.NewLogger(t), prometheus.NewRegistry())
	engine.GET("/events", func(c *gin.Context) {
		defer close(left)
		c.Header("Content-Type", "text/event-stream")
		c.Writer.Flush()
		for {
			select {
			case event := <-next:
				_, _ = c.Writer.WriteString(event + "\n")
				c.Writer.Flush()
			case <-c.Request.Context().Done():
				return
			}
		}
	})
	target, err := url.Parse("http://inner")
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{
		Transport: httpserver.InProcess(engine),
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
	}
	outer := httpserver.NewEngine("outer", zaptest.NewLogger(t), prometheus.NewRegistry())
	outer.Any("/*path", func(c *gin.Context) { proxy.ServeHTTP(c.Writer, c.Request) })
	server := httptest.NewServer(outer)
	defer server.Close()

	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for range 3 {
		next <- "event"
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "event\n", line)
	}
	leave()
	<-left // the handler sees that the client has disconnected

	missing, err := http.Get(server.URL + "/missing")
	require.NoError(t, err)
	defer missing.Body.Close()
	require.Equal(t, http.StatusNotFound, missing.StatusCode)
}

func TestInProcessWaitsForItsReader(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	var written int
	var mutex sync.Mutex
	response, err := do(t, func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 64<<10); written < size; {
			n, err := w.Write(piece)
			if err != nil {
				return
			}
			mutex.Lock()
			written += n
			mutex.Unlock()
		}
	}, newRequest(t, http.MethodGet, nil))
	require.NoError(t, err)
	_, err = io.ReadFull(response.Body, make([]byte, 1<<20))
	require.NoError(t, err)
	mutex.Lock()
	require.LessOrEqual(t, written, 1<<20)
	mutex.Unlock()
	rest, err := io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.EqualValues(t, size-1<<20, rest)
}

type contextKey struct{}

func TestInProcessContext(t *testing.T) {
	t.Parallel()
	errLeft := errors.New("the client has left")
	left := make(chan error, 1)
	wait := func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(contextKey{}) != "value" {
			panic("the value is missing")
		}
		if r.URL.RawQuery == "flush" {
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		left <- context.Cause(r.Context())
	}
	newContext := func() (context.Context, context.CancelCauseFunc) {
		return context.WithCancelCause(context.WithValue(t.Context(), contextKey{}, "value"))
	}

	ctx, cancel := newContext()
	time.AfterFunc(10*time.Millisecond, func() { cancel(errLeft) })
	_, err := do(t, wait, newRequest(t, http.MethodGet, nil).WithContext(ctx))
	require.ErrorIs(t, err, errLeft, "before the header")
	require.ErrorIs(t, <-left, errLeft)

	ctx, cancel = newContext()
	request := newRequest(t, http.MethodGet, nil).WithContext(ctx)
	request.URL.RawQuery = "flush"
	response, err := do(t, wait, request)
	require.NoError(t, err)
	time.AfterFunc(10*time.Millisecond, func() { cancel(errLeft) })
	_, err = io.ReadAll(response.Body)
	require.ErrorIs(t, err, errLeft, "in the body")
	require.ErrorIs(t, <-left, errLeft)

	ctx, cancel = newContext()
	defer cancel(nil)
	response, err = do(t, wait, request.WithContext(ctx))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.ErrorIs(t, <-left, context.Canceled, "the body was closed")
}

// TestInProcessResponseToNobody checks that the response of a handler that ends because its client has left is never
// taken for a response to that client.
func TestInProcessResponseToNobody(t *testing.T) {
	t.Parallel()
	errLeft := errors.New("the client has left")
	for range 2000 {
		ctx, cancel := context.WithCancelCause(t.Context())
		called := make(chan struct{})
		go func() {
			<-called
			cancel(errLeft)
		}()
		_, err := do(t, func(_ http.ResponseWriter, r *http.Request) {
			close(called)
			<-r.Context().Done()
		}, newRequest(t, http.MethodGet, nil).WithContext(ctx))
		require.ErrorIs(t, err, errLeft)
	}
}

func TestInProcessPanics(t *testing.T) {
	t.Parallel()
	for _, cause := range []any{"broken", http.ErrAbortHandler} {
		_, err := do(t, func(http.ResponseWriter, *http.Request) { panic(cause) }, newRequest(t, http.MethodGet, nil))
		require.Error(t, err)
		response, err := do(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(cause)
		}, newRequest(t, http.MethodGet, nil))
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.Error(t, err)
		require.NotErrorIs(t, err, io.EOF)
		require.Equal(t, "half", string(body))
	}
}

func TestInProcessClosesTheRequestBody(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	body := struct {
		io.Reader
		io.Closer
	}{strings.NewReader("unread"), closerFunc(func() error { close(closed); return nil })}
	_, err := do(t, func(http.ResponseWriter, *http.Request) {}, newRequest(t, http.MethodPost, body))
	require.NoError(t, err)
	<-closed
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// TestEnginesShareARegistry is how services in one process are distinguished.
func TestEnginesShareARegistry(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	for _, service := range []string{"gateway", "status"} {
		wrapped := prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, registry)
		engine := httpserver.NewEngine(service, zap.NewNop(), wrapped)
		engine.GET("/path", func(c *gin.Context) { c.Status(http.StatusNoContent) })
		engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/path", nil))
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	services := map[string]uint64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "service" && metric.GetHistogram() != nil {
					services[label.GetValue()] += metric.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	require.Equal(t, map[string]uint64{"gateway": 1, "status": 1}, services)
}
