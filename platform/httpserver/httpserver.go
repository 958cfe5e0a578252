// Package httpserver is the HTTP server that the services share: a gin engine that answers every failure with a problem, with
// traces, metrics and one log line per request; the server as a component of package host; and a transport to a handler
// in the same process.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/tracing"
)

// Option changes an engine.
type Option = otelgin.Option

// UntrustedClients makes the engine decide by itself which requests are traced, whatever their clients request.
func UntrustedClients() Option { return otelgin.WithPropagators(tracing.Untrusted{}) }

// NewEngine creates the gin engine of a service. Handlers report failures with Fail only. X-Forwarded-For is not
// trusted. If several engines share a registry, each gets its own prometheus.WrapRegistererWith, with different values
// of the same labels.
func NewEngine(service string, log *zap.Logger, registry prometheus.Registerer, options ...Option) *gin.Engine {
	gin.SetMode(gin.ReleaseMode) // gin's debug mode prints routes to standard output
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.ContextWithFallback = true // a gin.Context used as a context is the request's
	engine.RedirectTrailingSlash = false
	_ = engine.SetTrustedProxies(nil) // nil cannot be invalid
	engine.Use(otelgin.Middleware(service, options...), observe(log, prometheus.WrapRegistererWith(prometheus.Labels{"server": service}, registry)), recovered(log))
	engine.NoRoute(func(c *gin.Context) {
		Fail(c, problem.New(problem.RouteNotFound, "No route matches the path of this request."))
	})
	engine.NoMethod(func(c *gin.Context) {
		Fail(c, problem.New(problem.MethodNotAllowed, "This path does not accept %s.", c.Request.Method))
	})
	return engine
}

// jobKey is the key of the id of the job in a gin.Context.
const jobKey = "docmill.job_id"

// ConcernsJob adds the id of the job that the request concerns to its log line and its span.
func ConcernsJob(c *gin.Context, id string) {
	c.Set(jobKey, id)
	trace.SpanFromContext(c.Request.Context()).SetAttributes(tracing.JobID(id))
}

// Fail answers the request with the problem in err's chain, unless a response has begun, and keeps err for the log
// line.
func Fail(c *gin.Context, err error) {
	_ = c.Error(err)
	if !c.Writer.Written() {
		problem.Write(c.Writer, c.Request, err)
	}
	c.Abort()
}

// Handle turns a handler that returns an error into a gin handler.
func Handle(handler func(c *gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handler(c); err != nil {
			Fail(c, err)
		}
	}
}

// observe counts, times and logs each request. The label of the metric is the route's pattern, not the path: clients
// could create any number of the latter.
func observe(log *zap.Logger, registry prometheus.Registerer) gin.HandlerFunc {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: metrics.Namespace, Subsystem: "http", Name: "request_duration_seconds",
		Help: "Time from a request's headers to the end of the response.", Buckets: metrics.DurationBuckets(),
	}, []string{"method", "route", "status"})
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: metrics.Namespace, Subsystem: "http", Name: "requests_in_flight", Help: "Requests that are being processed.",
	})
	registry.MustRegister(duration, inFlight)
	return func(c *gin.Context) {
		begin := time.Now()
		inFlight.Inc()
		defer func() {
			inFlight.Dec()
			status := c.Writer.Status()
			route := c.FullPath()
			duration.WithLabelValues(method(c.Request.Method), route, strconv.Itoa(status)).Observe(time.Since(begin).Seconds())
			logRequest(c, log, status, time.Since(begin))
		}()
		c.Next()
	}
}

// method maps unknown methods to one label.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return name
	default:
		return "other"
	}
}

func logRequest(c *gin.Context, log *zap.Logger, status int, took time.Duration) {
	level := zap.DebugLevel
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		level = zap.ErrorLevel
	case status >= http.StatusBadRequest:
		level = zap.InfoLevel
	}
	entry := log.Check(level, "request")
	if entry == nil {
		return
	}
	fields := []zap.Field{
		zap.String("method", shortened(c.Request.Method)), zap.String("path", shortened(c.Request.URL.Path)),
		zap.Int("status", status), zap.Duration("took", took), logging.Trace(c.Request.Context()),
	}
	if id := c.GetString(jobKey); id != "" {
		fields = append(fields, logging.JobID(id))
	}
	if last := c.Errors.Last(); last != nil {
		fields = append(fields, zap.Error(last.Err))
	}
	entry.Write(fields...)
}

// shortened returns at most 256 bytes of what a client sent: a path may have 32 KiB, and each byte of it up to four in a log.
func shortened(text string) string {
	const limit = 256
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// bodyTimeout is the time to send a request's body, unless a handler that reads it sets its own. Before net/http sends a
// response it reads up to 256 KiB of a body that the handler did not read, and by itself without a limit.
const bodyTimeout = 30 * time.Second

// limitBody gives requests with a body a deadline to send it.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // in-process there is none
		}
		next.ServeHTTP(w, r)
	})
}

// maxConnections returns how many connections a server accepts: half of the file descriptors that the process may open, so
// that the other half remains for files and for the connections to others.
func maxConnections() int {
	const fallback = 1024
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur == 0 {
		return fallback
	}
	return int(min(limit.Cur/2, 1<<20))
}

// recovered turns a panic into a 500 problem, so that one request cannot stop the others.
func recovered(log *zap.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause) // how net/http aborts a response; httputil.ReverseProxy uses it
			}
			log.Error("handler panicked", zap.Any("panic", cause), zap.ByteString("stack", debug.Stack()), logging.Trace(c.Request.Context()))
			Fail(c, fmt.Errorf("panic: %v", cause))
		}()
		c.Next()
	}
}

// Limits of every server. The time of a whole request or response is not limited: uploads and long polls have their own
// limits. A blocked write is; see limitWrites.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// closeWhenLeaving ends each connection with its next response once the service is about to stop: the client's next
// connection is then to another replica.
func closeWhenLeaving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host.PhaseOf(r.Context()) == host.Leaving {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Component returns a component that serves handler on address. When it drains, it stops accepting connections, lets
// current requests finish, and notifies handlers that wait (long polls) through Draining. The context of a request has
// the host.Phase of the service.
func Component(name, address string, handler http.Handler, log *zap.Logger) host.Component {
	return host.Component{Name: name, Run: func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", address, err)
		}
		server := &http.Server{
			Handler:           closeWhenLeaving(limitBody(handler)),
			ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
			ErrorLog: zap.NewStdLog(log.With(zap.String("component", name))),
			BaseContext: func(net.Listener) context.Context {
				return context.WithValue(context.WithoutCancel(ctx), drainKey{}, drain)
			},
		}
		log.Info("listening", zap.String("component", name), zap.Stringer("address", listener.Addr()))
		ended := make(chan error, 1)
		go func() {
			ended <- server.Serve(netutil.LimitListener(limitWrites(listener, writeTimeout), maxConnections()))
		}()
		ready()
		select {
		case err := <-ended:
			return fmt.Errorf("serve on %s: %w", address, err)
		case <-drain:
		}
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close() // aborts what is unfinished at the deadline
			return fmt.Errorf("drain: %w", err)
		}
		return nil
	}}
}

type drainKey struct{}

// Draining returns a channel that is closed when the server that serves this request begins to drain; a handler that
// waits for something then ends its wait. Without a Component it returns nil, a channel that is never closed.
func Draining(ctx context.Context) <-chan struct{} {
	drain, _ := ctx.Value(drainKey{}).(<-chan struct{})
	return drain
}

// IsDraining reports whether the server that serves this request has begun to drain.
func IsDraining(ctx context.Context) bool {
	select {
	case <-Draining(ctx):
		return true
	default:
		return false
	}
}
