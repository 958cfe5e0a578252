package sqlitequeue

import (
	"context"
	"fmt"
	"iter"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/sqlite"
)

// pageOfMessages is how many messages All reads at a time: a snapshot that stays open keeps the write-ahead log
// growing.
const pageOfMessages = 200

// All returns every stored message, whatever its queue and state, in the order of publication. It claims nothing.
func (q *Queue) All(ctx context.Context) iter.Seq2[*message.Delivery, error] {
	return func(yield func(*message.Delivery, error) bool) {
		last := int64(0)
		for {
			page, err := q.page(ctx, last)
			if err != nil {
				yield(nil, fmt.Errorf("list the messages: %w", sqlite.Classify(err)))
				return
			}
			for _, d := range page {
				if !yield(d.Delivery, nil) {
					return
				}
			}
			if len(page) < pageOfMessages {
				return
			}
			last = page[len(page)-1].id
		}
	}
}

// page returns the messages that follow one, in order.
func (q *Queue) page(ctx context.Context, after int64) ([]delivery, error) {
	rows, err := q.db.Reader().QueryContext(ctx,
		"SELECT "+columns+" FROM messages WHERE id > ? ORDER BY id LIMIT ?", after, pageOfMessages)
	if err != nil {
		return nil, err
	}
	return scanAll(rows)
}
