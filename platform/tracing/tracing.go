// Package tracing sets up OpenTelemetry: W3C trace context through HTTP, AMQP and SQL. Every request has a trace id,
// which its problem responses and log lines contain. Spans leave the process only if an OTLP endpoint is configured.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/docmill/docmill/platform/buildinfo"
)

// Config configures which traces are recorded and where they are sent.
type Config struct {
	Endpoint string  `help:"URL of an OTLP/HTTP collector for traces, for example http://127.0.0.1:4318. If empty, no traces are sent." placeholder:"URL"`
	Ratio    float64 `default:"1" help:"Share of the requests that are traced, from 0 to 1. The service that receives the request decides; the others follow."`
}

// Validate rejects a ratio that is not one.
func (c Config) Validate() error {
	if !(c.Ratio >= 0 && c.Ratio <= 1) { // NaN is neither
		return errors.New("setting trace-ratio: it must be between 0 and 1")
	}
	if c.Endpoint == "" {
		return nil
	}
	_, err := c.address()
	return err
}

// Start installs the process-wide tracer and propagator, which is how the instrumented libraries find OpenTelemetry. Traces
// that cannot be sent are dropped and reported to log.
// The returned function sends the remaining spans and must be called once, at the end.
func Start(ctx context.Context, config Config, service string, log *zap.Logger) (func(context.Context) error, error) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("cannot send traces", zap.Error(err)) }))
	described, err := resource.New(ctx, resource.WithFromEnv(), resource.WithAttributes(
		attribute.String("service.name", service), attribute.String("service.version", buildinfo.Version())))
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	options := []sdk.TracerProviderOption{sdk.WithResource(described)}
	if config.Endpoint == "" {
		config.Ratio = 0 // the context of a trace is still passed on
	} else {
		address, err := config.address()
		if err != nil {
			return nil, err
		}
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(address))
		if err != nil {
			return nil, fmt.Errorf("setting trace-endpoint: %w", err)
		}
		options = append(options, sdk.WithBatcher(exporter))
	}
	options = append(options, sdk.WithSampler(newSampler(config.Ratio)), sdk.WithRawSpanLimits(limits()))
	provider := sdk.NewTracerProvider(options...)
	otel.SetTracerProvider(provider)
	return provider.Shutdown, nil
}

// maxValue is the maximum length of what a span says, in bytes. Clients choose some of it, such as a path or a User-Agent of 32 KiB.
const maxValue = 512

func limits() sdk.SpanLimits {
	limits := sdk.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxValue
	return limits
}

// address returns the URL that traces are sent to: unless the setting has a path, that of OTLP/HTTP.
func (c Config) address() (string, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return "", fmt.Errorf("setting trace-endpoint: %q is not a URL such as http://127.0.0.1:4318", c.Endpoint)
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint.Path = "/v1/traces"
	}
	return endpoint.String(), nil
}

// JobID is the attribute of every span that concerns one job.
func JobID(id string) attribute.KeyValue { return attribute.String("docmill.job_id", id) }

// QueryName returns the name of an SQL query that begins with a comment of sqlc, such as "-- name: GetJob :one"; otherwise "".
func QueryName(query string) string {
	rest, found := strings.CutPrefix(query, "-- name: ")
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(rest, " ")
	return name
}

// End ends a span, as failed if err is not nil.
func End(span trace.Span, err error) {
	if err != nil {
		text := err.Error()
		span.SetStatus(codes.Error, strings.ToValidUTF8(text[:min(len(text), maxValue)], ""))
	}
	span.End()
}
