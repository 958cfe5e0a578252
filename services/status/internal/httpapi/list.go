package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/services/status/internal/listing"
)

// list handles GET /v1/jobs.
func (a *api) list(c *gin.Context) error {
	selection, err := listing.Parse(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	size := selection.Limit
	selection.Limit++ // to see whether there is a next page
	found, err := a.Jobs.List(c.Request.Context(), selection)
	if err != nil {
		return err
	}
	now, err := a.Clock.Now(c.Request.Context())
	if err != nil {
		return err
	}
	page := jobapi.JobList{Jobs: []jobapi.Job{}}
	if len(found) > size {
		found = found[:size]
		page.NextPageToken = listing.Token(found[size-1].ID, selection.Filter)
	}
	for _, j := range found {
		if !expired(j, now) {
			page.Jobs = append(page.Jobs, a.represent(j))
		}
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, page)
	return nil
}

// stats handles GET /v1/stats.
func (a *api) stats(c *gin.Context) error {
	stats, err := a.statistics.Get(c.Request.Context())
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, stats)
	return nil
}
