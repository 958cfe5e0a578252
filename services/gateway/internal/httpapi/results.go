package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
)

const (
	// lookups is how many of its jobs a request asks the status service about at the same time, and maxLookups how many
	// all requests together do.
	lookups, maxLookups = 8, 64
	// maxArchives is how many archives are sent at the same time. Each has a connection to the store.
	maxArchives = 64
	// archiveRetry is the Retry-After when that many are being sent.
	archiveRetry = 5 * time.Second
	// archiveName is the file name of an archive.
	archiveName = "docmill-results.zip"
)

// archives are the places of what archives need.
type archives struct{ open, lookups chan struct{} }

func newArchives() archives {
	return archives{open: make(chan struct{}, maxArchives), lookups: make(chan struct{}, maxLookups)}
}

// results sends the results of several jobs in one archive.
func (a *api) results(c *gin.Context) error {
	ids := c.Request.URL.Query()["id"]
	if len(ids) < 1 || len(ids) > jobapi.MaxArchived {
		return problem.New(problem.ParameterInvalid, "The request names %d jobs.", len(ids)).
			With(problem.Field{Name: "id", Detail: fmt.Sprintf("must be given 1 to %d times", jobapi.MaxArchived)})
	}
	select {
	case a.archives.open <- struct{}{}:
		defer func() { <-a.archives.open }()
	default:
		return problem.New(problem.Busy, "%d archives are being sent.", maxArchives).After(archiveRetry)
	}
	locations, err := a.locate(c.Request.Context(), distinct(ids))
	if err != nil {
		return err
	}
	err = a.deps.Sender.SendArchive(c.Writer, c.Request, archiveName, locations)
	if err != nil && c.Writer.Written() {
		_ = c.Error(err) // for the log
		panic(http.ErrAbortHandler)
	}
	return err
}

// locate returns where the results of the jobs are. All jobs that have none are reported together.
func (a *api) locate(ctx context.Context, ids []string) ([]jobapi.Location, error) {
	locations, faults := make([]jobapi.Location, len(ids)), make([]error, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for i, id := range ids {
		group.Go(func() error {
			var err error
			locations[i], err = a.locateOne(ctx, id)
			if slices.Contains(resultless, problem.From(err).Code) {
				faults[i], err = err, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var fields []problem.Field
	for i, fault := range faults {
		if fault != nil {
			fields = append(fields, problem.Field{Name: problem.Excerpt(ids[i]), Detail: problem.From(fault).Detail})
		}
	}
	if len(fields) > 0 {
		return nil, problem.New(problem.ResultsMissing, "%d of %d jobs have no result.", len(fields), len(ids)).With(fields...)
	}
	return locations, nil
}

// resultless are the problems of a job that has no result.
var resultless = []problem.Code{
	problem.JobNotFound, problem.JobNotFinished, problem.JobFailed, problem.JobDeleted, problem.JobExpired,
}

func (a *api) locateOne(ctx context.Context, id string) (jobapi.Location, error) {
	if _, valid := parseJobID(id); !valid {
		return jobapi.Location{}, problem.New(problem.JobNotFound, "This is not the id of a job.")
	}
	select {
	case a.archives.lookups <- struct{}{}:
		defer func() { <-a.archives.lookups }()
		return a.deps.Status.Result(ctx, id)
	case <-ctx.Done():
		return jobapi.Location{}, ctx.Err()
	}
}

// distinct returns the ids in their order, each once.
func distinct(ids []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(ids, func(id string) bool {
		repeated := seen[id]
		seen[id] = true
		return repeated
	})
}
