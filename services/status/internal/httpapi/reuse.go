package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/httpserver"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/internal/reuse"
	"github.com/docmill/docmill/services/status/job"
)

// maxReuse is the maximum size of a request in bytes. A command has at most a few kilobytes.
const maxReuse = 1 << 20

// reuse handles POST /internal/reuse.
func (a *api) reuse(c *gin.Context) error {
	var request jobapi.Reuse
	command := &conversionv1.ConvertRequested{}
	err := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxReuse)).Decode(&request)
	if err == nil {
		err = proto.Unmarshal(request.Command, command)
	}
	if err != nil {
		return problem.New(problem.ParameterInvalid, "The request cannot be read.").Because(err)
	}
	httpserver.ConcernsJob(c, command.GetJobId())
	// What has begun is completed even if the gateway disconnects: otherwise copies without a job would remain.
	err = a.Reuse.Answer(context.WithoutCancel(c.Request.Context()), command, request.Builds)
	switch {
	case err == nil:
		c.Status(http.StatusCreated)
	case errors.Is(err, reuse.ErrNone):
		c.Status(http.StatusNoContent)
	case errors.Is(err, job.ErrInvalid):
		return problem.New(problem.ParameterInvalid, "The submission is invalid.").Because(err)
	default:
		return err
	}
	c.Writer.WriteHeaderNow()
	return nil
}
