package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/docmill/docmill/contract/option"
)

type formatsAnswer struct {
	Formats       []formatAnswer  `json:"formats"`
	Options       []option.Option `json:"options"`
	MaxUploadSize int64           `json:"max_upload_size"`
}

type formatAnswer struct {
	Format    string `json:"format"`
	Title     string `json:"title"`
	MediaType string `json:"media_type"`
	Family    string `json:"family"`
	// Extensions have no dots; the most common one is first.
	Extensions []string       `json:"extensions"`
	Targets    []targetAnswer `json:"targets"`
}

type targetAnswer struct {
	Format    string `json:"format"`
	Title     string `json:"title"`
	MediaType string `json:"media_type"`
}

// formats answers GET /v1/formats.
func (a *api) formats(c *gin.Context) error {
	limits := a.limits()
	answer := formatsAnswer{Options: limits.OfferedOptions(), MaxUploadSize: limits.MaxSize}
	for _, f := range limits.Formats {
		entry := formatAnswer{Format: f.ID, Title: f.Title, MediaType: f.MediaType, Family: string(f.Family), Extensions: f.Extensions()}
		for t := range f.Targets() {
			entry.Targets = append(entry.Targets, targetAnswer{Format: t.ID, Title: t.Title, MediaType: t.MediaType})
		}
		answer.Formats = append(answer.Formats, entry)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode the formats: %w", err)
	}
	sum := sha256.Sum256(body)
	c.Header("Content-Type", "application/json")
	c.Header("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	c.Header("Cache-Control", "no-cache")
	for _, name := range []string{"Range", "If-Match", "If-Unmodified-Since"} {
		c.Request.Header.Del(name) // ranges of and conditions on so small a response are not supported
	}
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(body))
	return nil
}
