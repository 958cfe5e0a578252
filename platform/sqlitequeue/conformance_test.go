package sqlitequeue_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/platform/sqlite"
	"github.com/docmill/docmill/platform/sqlitequeue"
)

// shorter is by how much delays are shortened: the shortest is 100 ms.
const shorter = 100

func TestConformance(t *testing.T) {
	t.Parallel()
	messagetest.Run(t, messagetest.Suite{
		Open:  func(t testing.TB) messagetest.Harness { return newHarness(t).harness() },
		Lacks: messagetest.Lacks{Connection: true},
	})
}

// harness is one database and the queue on it.
type harness struct {
	path  string
	db    *sqlite.DB
	queue *sqlitequeue.Queue
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{path: filepath.Join(t.TempDir(), "docmill.db")}
	h.open(t)
	t.Cleanup(func() { require.NoError(t, h.db.Close()) })
	return h
}

func (h *harness) open(t testing.TB) {
	t.Helper()
	log := zaptest.NewLogger(t)
	var err error
	h.db, err = sqlite.Open(t.Context(), h.path, sqlite.Options{Log: log})
	require.NoError(t, err)
	h.queue, err = sqlitequeue.Open(t.Context(), h.db, sqlitequeue.Options{Log: log})
	require.NoError(t, err)
	h.queue.Shorten(shorter)
}

func (h *harness) harness() messagetest.Harness {
	return messagetest.Harness{
		Open: func(t testing.TB, name string) message.Broker {
			t.Helper()
			return h.queue.Broker(name, zaptest.NewLogger(t), nil)
		},
		ShortestDelay: message.RetryDelays()[0] / shorter,
		Restart: func(t testing.TB) {
			t.Helper()
			require.NoError(t, h.db.Close()) // SIGKILL has a test of its own
			h.open(t)
		},
		LimitCommands: func(_ testing.TB, n int) { h.queue.LimitCommands(n) },
		Inject: func(t testing.TB, e message.Envelope) {
			t.Helper()
			require.NoError(t, h.queue.Inject(t.Context(), e))
		},
	}
}
