// Package resultcache answers submissions with the results of earlier jobs that had the same document and options, if the
// converters that are running now would make the same result. The status service keeps the results; this package decides what is
// the same.
package resultcache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/metrics"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/gateway/internal/statusclient"
)

// Cache looks for results. It is safe for concurrent use. A nil *Cache finds nothing.
type Cache struct {
	status     *statusclient.Client
	converters *fleet.Fleet
	lookups    *prometheus.CounterVec
	log        *zap.Logger
	searches   searches
}

// The values of the label outcome.
const (
	hit    = "hit"
	miss   = "miss"
	failed = "failed"
)

// New returns a cache of the results that the status service keeps.
func New(status *statusclient.Client, converters *fleet.Fleet, log *zap.Logger, registry prometheus.Registerer) *Cache {
	c := &Cache{status: status, converters: converters, log: log, searches: searches{pause: pause}, lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: "gateway", Name: "cache_lookups_total",
		Help: "Searches for the result of an earlier job, by outcome: hit, miss or failed (then the document is converted). Submissions whose result must not be reused are not counted.",
	}, []string{"outcome"})}
	registry.MustRegister(c.lookups)
	for _, outcome := range []string{hit, miss, failed} {
		c.lookups.WithLabelValues(outcome)
	}
	return c
}

// Prepare makes the result of the request reusable, unless it depends on passwords.
func (c *Cache) Prepare(request *conversionv1.ConvertRequested) error {
	if c == nil || len(request.GetTarget().GetSealedSecrets()) > 0 {
		return nil
	}
	digest, err := digestOf(request)
	if err != nil {
		return err
	}
	request.CacheDigest = digest
	return nil
}

// digestOf returns the SHA-256 of what the result depends on, except for the converter. The name of the document is not part of that:
// converters do not see it.
func digestOf(request *conversionv1.ConvertRequested) ([]byte, error) {
	source, target := request.GetSource(), request.GetTarget()
	options, err := proto.MarshalOptions{Deterministic: true}.Marshal(target.GetOptions())
	if err != nil {
		return nil, fmt.Errorf("encode the options: %w", err)
	}
	hash := sha256.New()
	for _, part := range [][]byte{source.GetSha256(), []byte(source.GetFormat()), []byte(target.GetFormat()), options} {
		_ = binary.Write(hash, binary.BigEndian, uint64(len(part))) // a hash never fails
		_, _ = hash.Write(part)
	}
	return hash.Sum(nil), nil
}

// Outcome is the outcome of a search.
type Outcome int

const (
	// None means that there is no result, and that the job was not recorded: the request has to be published.
	None Outcome = iota
	// Answered means that the job is recorded and has succeeded.
	Answered
	// Unknown means that the job may have been recorded. The request has to be published: the first end of a job counts. If the publication is
	// rejected, it is not certain that there is no job.
	Unknown
)

// Answer has the status service answer the request with the result of an earlier job.
func (c *Cache) Answer(ctx context.Context, request *conversionv1.ConvertRequested) Outcome {
	if c == nil || len(request.GetCacheDigest()) == 0 {
		return None
	}
	builds := c.converters.Builds(request.GetSource().GetFormat(), request.GetTarget().GetFormat())
	if len(builds) == 0 {
		c.lookups.WithLabelValues(miss).Inc()
		return None
	}
	probe, ok := c.searches.begin()
	if !ok {
		c.lookups.WithLabelValues(miss).Inc()
		return None
	}
	reused, err := c.status.Reuse(ctx, request, builds)
	refused := errors.Is(err, statusclient.ErrRefused)
	c.searches.end(probe, err == nil || refused)
	switch {
	case err != nil:
		c.lookups.WithLabelValues(failed).Inc()
		c.log.Warn("cannot look for an earlier result; converting the document", logging.JobID(request.GetJobId()), logging.Trace(ctx), zap.Error(err))
		if refused || errors.Is(err, statusclient.ErrNotSent) {
			return None
		}
		return Unknown
	case reused:
		c.lookups.WithLabelValues(hit).Inc()
		return Answered
	default:
		c.lookups.WithLabelValues(miss).Inc()
		return None
	}
}
