package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/services/status/internal/feed"
)

// writeTimeout is how long a write may block because the gateway does not read.
const writeTimeout = 10 * time.Second

// changes handles GET /internal/changes: which jobs change, until the gateway disconnects or the server drains.
func (a *api) changes(c *gin.Context) {
	subscription := a.Feed.Subscribe()
	defer subscription.Close()
	c.Header("Content-Type", "text/plain; charset=utf-8")
	c.Header("Connection", "close") // the write deadline remains set, so the connection cannot be reused
	if err := sendChanges(c, subscription); err != nil {
		_ = c.Error(err) // for the log: the gateway connects again
	}
}

func sendChanges(c *gin.Context, subscription *feed.Subscription) error {
	clock := time.NewTicker(jobapi.ChangesInterval)
	defer clock.Stop()
	ctx, controller := c.Request.Context(), http.NewResponseController(c.Writer)
	for {
		var line bytes.Buffer
		ids, all := subscription.Take()
		if all {
			line.WriteString(jobapi.AllChanged)
		}
		for _, id := range ids {
			fmt.Fprintf(&line, "%s ", id)
		}
		line.WriteByte('\n')
		_ = controller.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails in-process, where there are no deadlines
		if _, err := c.Writer.Write(line.Bytes()); err != nil {
			return fmt.Errorf("send changes: %w", err)
		}
		if err := controller.Flush(); err != nil {
			return fmt.Errorf("send changes: %w", err)
		}
		select {
		case <-subscription.Changed():
		case <-clock.C:
		case <-httpserver.Draining(ctx):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
