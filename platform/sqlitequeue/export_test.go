package sqlitequeue

import (
	"context"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/sqlite"
)

// CrashLimit is crashLimit.
const CrashLimit = crashLimit

// Shorten shortens all delays by a factor.
func (q *Queue) Shorten(factor float64) { q.delayFactor = 1 / factor }

// LimitCommands changes the number of messages that may wait in Commands.
func (q *Queue) LimitCommands(n int) { q.maxCommands = n }

// Inject stores a message in Commands.
func (q *Queue) Inject(ctx context.Context, e message.Envelope) error {
	return q.enqueue(ctx, sqlite.Relaxed, e, 0, message.Commands)
}
