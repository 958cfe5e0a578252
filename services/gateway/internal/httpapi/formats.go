package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/docmill/docmill/contract/jobapi"
)

// formats answers GET /v1/formats.
func (a *api) formats(c *gin.Context) error {
	limits := a.limits()
	answer := jobapi.Formats{Options: limits.Offer.Options(limits.Secrets, limits.Webhooks), MaxUploadSize: limits.MaxSize}
	for _, f := range limits.Offer.Formats {
		entry := jobapi.SourceFormat{Format: f.ID, Title: f.Title, MediaType: f.MediaType, Family: string(f.Family), Extensions: f.Extensions()}
		for t := range f.Targets() {
			entry.Targets = append(entry.Targets, jobapi.TargetFormat{Format: t.ID, Title: t.Title, MediaType: t.MediaType})
		}
		answer.Formats = append(answer.Formats, entry)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode the formats: %w", err)
	}
	last := a.formatsAnswer.Load()
	if last == nil || !bytes.Equal(last.body, body) { // the converters offer others now
		last = new(newStatic("application/json", body, ""))
		a.formatsAnswer.Store(last)
	}
	last.send(c)
	return nil
}
