package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// static is a small answer that rarely changes. Clients may store it, but must revalidate it each time.
type static struct {
	contentType string
	body        []byte
	// policy is the Content-Security-Policy; empty for answers that no browser renders.
	policy string
}

func (s static) send(c *gin.Context) {
	sum := sha256.Sum256(s.body)
	c.Header("Content-Type", s.contentType)
	c.Header("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	c.Header("Cache-Control", "no-cache")
	c.Header("X-Content-Type-Options", "nosniff")
	if s.policy != "" {
		c.Header("Content-Security-Policy", s.policy)
	}
	for _, name := range []string{"Range", "If-Match", "If-Unmodified-Since"} {
		c.Request.Header.Del(name) // ranges of and conditions on so small a response are not supported
	}
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(s.body))
}
