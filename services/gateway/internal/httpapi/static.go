package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// static is a small answer that rarely changes. Clients may store it, but must revalidate it each time.
type static struct {
	contentType      string
	body, compressed []byte
	etag             string
	// policy is the Content-Security-Policy; empty for answers that no browser renders.
	policy string
}

func newStatic(contentType string, body []byte, policy string) static {
	sum := sha256.Sum256(body)
	return static{
		contentType: contentType, body: body, compressed: compress(body), policy: policy, etag: hex.EncodeToString(sum[:8]),
	}
}

// compress returns nil if the body would not become smaller: 50 KB of JSON take 0.5 ms and become 3 KB.
func compress(body []byte) []byte {
	var compressed bytes.Buffer
	writer := gzip.NewWriter(&compressed)
	_, _ = writer.Write(body) // a buffer takes everything
	_ = writer.Close()
	if compressed.Len() >= len(body) {
		return nil
	}
	return compressed.Bytes()
}

func (s static) send(c *gin.Context) {
	c.Header("Content-Type", s.contentType)
	c.Header("Cache-Control", "no-cache")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Vary", "Accept-Encoding")
	if s.policy != "" {
		c.Header("Content-Security-Policy", s.policy)
	}
	body, etag := s.body, s.etag
	if s.compressed != nil && acceptsGzip(c.Request.Header) {
		c.Header("Content-Encoding", "gzip")
		c.Header("Content-Length", strconv.Itoa(len(s.compressed))) // ServeContent omits it for encoded content
		body, etag = s.compressed, etag+"-gzip"                     // each encoding is a representation of its own
	}
	c.Header("ETag", `"`+etag+`"`)
	for _, name := range []string{"Range", "If-Match", "If-Unmodified-Since"} {
		c.Request.Header.Del(name) // ranges of and conditions on so small a response are not supported
	}
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reports whether the client lists gzip in Accept-Encoding (RFC 9110, 12.5.3) and not with the weight 0.
func acceptsGzip(header http.Header) bool {
	for _, value := range header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				weight = strings.TrimSpace(weight)
				return weight == "" || strings.Trim(weight, "q=0.") != "" // q=0, also written q=0.000
			}
		}
	}
	return false
}
