// Package testbench provides tests with real servers. Each test has its own empty vhost, database and pair of buckets.
//
// The servers are those of a surrounding `devstack run -- CMD`, which all its test packages share; otherwise the first
// [New] starts them for the test process. A package that uses testbench declares:
//
//	func TestMain(m *testing.M) { testbench.Main(m) }
package testbench

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/servers"
)

const (
	// startTimeout includes the installation of everything on a bare machine.
	startTimeout = 15 * time.Minute
	cleanTimeout = 30 * time.Second
	// settleTime is how long a bench on shared servers outlives its test. The broker may still be declaring a queue for a
	// connection that was closed meanwhile. If RabbitMQ 3.10 deletes a queue at the moment when its dead-letter worker
	// starts, the supervisor of these workers gives up, and every later declaration of a retry queue fails with 541.
	settleTime = 2 * time.Second
)

// Bench is what one test uses. It is removed soon after the test.
type Bench struct {
	// Space has the vhost, the database and the buckets, which exist and are empty.
	servers.Space

	// Servers may be stopped, killed and restarted only if they are from [NewPrivate].
	Servers *servers.Servers
}

// New returns a bench on shared servers. It is safe for parallel tests.
func New(tb testing.TB) *Bench {
	tb.Helper()
	shared, err := sharedServers()
	require.NoError(tb, err, "start the servers that tests share")
	return newBench(tb, shared)
}

// NewPrivate returns a bench on private servers, which the test may stop, kill and restart. It takes about 6 s.
func NewPrivate(tb testing.TB) *Bench {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	private, err := servers.Start(ctx, servers.Options{Log: logger()})
	require.NoError(tb, err, "start servers for %s", tb.Name())
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
		defer cancel()
		require.NoError(tb, private.Stop(ctx))
	})
	return newPrivateBench(tb, private)
}

// Main runs the tests of a package and then stops the servers that they shared. Without Main, the servers still end
// with the process, but their directory remains until the next start removes it.
func Main(m *testing.M) {
	code := m.Run()
	removals.Wait()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the servers of the tests:", err)
	}
	os.Exit(code)
}

// shared are the servers, which the first test starts. They are package state, because Go's testing package cannot pass
// a value from TestMain to tests.
var shared = struct { //nolint:gochecknoglobals // see above
	mutex   sync.Mutex
	servers *servers.Servers
	err     error
	ours    bool
}{}

// removals are the benches that are not removed yet.
var removals sync.WaitGroup //nolint:gochecknoglobals // as above

// removeLater removes a bench after settleTime. Main waits for it.
func removeLater(b *Bench) {
	removals.Add(1)
	time.AfterFunc(settleTime, func() {
		defer removals.Done()
		ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
		defer cancel()
		if err := b.Remove(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "remove the space of a test:", err)
		}
	})
}

// sharedServers attaches to the servers of `devstack run`, or starts servers at the first call.
func sharedServers() (*servers.Servers, error) {
	shared.mutex.Lock()
	defer shared.mutex.Unlock()
	if shared.servers != nil || shared.err != nil {
		return shared.servers, shared.err
	}
	if path := os.Getenv(ConnectionVariable); path != "" {
		var connection servers.Connection
		connection, shared.err = readConnection(path)
		if shared.err == nil {
			shared.servers = servers.Attach(connection)
		}
		return shared.servers, shared.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	shared.servers, shared.err = servers.Start(ctx, servers.Options{Log: logger()})
	shared.ours = true
	return shared.servers, shared.err
}

func stopShared() error {
	shared.mutex.Lock()
	defer shared.mutex.Unlock()
	if shared.servers == nil || !shared.ours {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
	defer cancel()
	return shared.servers.Stop(ctx)
}

// newBench creates a vhost, a database and buckets, and removes them after the test.
func newBench(tb testing.TB, s *servers.Servers) *Bench {
	tb.Helper()
	b := &Bench{Space: s.Space("t-" + strings.ToLower(rand.Text()[:12])), Servers: s}
	tb.Cleanup(func() { removeLater(b) })
	ctx, cancel := context.WithTimeout(tb.Context(), cleanTimeout)
	defer cancel()
	require.NoError(tb, b.Create(ctx))
	return b
}

// newPrivateBench does not remove anything: the servers are removed, and the test may have stopped them.
func newPrivateBench(tb testing.TB, s *servers.Servers) *Bench {
	tb.Helper()
	b := &Bench{Space: s.Space("test"), Servers: s}
	ctx, cancel := context.WithTimeout(tb.Context(), cleanTimeout)
	defer cancel()
	require.NoError(tb, b.Create(ctx))
	return b
}

// logger logs long operations to standard error, so that the first run on a fresh machine does not seem to hang.
func logger() *zap.Logger {
	config := zap.NewDevelopmentConfig()
	config.Level.SetLevel(zap.InfoLevel)
	config.DisableStacktrace, config.DisableCaller = true, true
	log, err := config.Build()
	if err != nil {
		return zap.NewNop()
	}
	return log
}
