// Package tracing sets up OpenTelemetry: W3C trace context through HTTP, AMQP and SQL. Every request has a trace id,
// which its problem responses and log lines contain. Spans leave the process only if an OTLP endpoint is configured.
package tracing

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Config configures where spans are sent.
type Config struct {
	Endpoint string `help:"URL of an OTLP/HTTP collector for traces, for example http://127.0.0.1:4318. If empty, no traces are sent." placeholder:"URL"`
}

// Start installs the process-wide tracer and propagator, which is how the instrumented libraries find OpenTelemetry.
// The returned function sends the remaining spans and must be called once, at the end.
func Start(ctx context.Context, config Config, service string) (func(context.Context) error, error) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	options := []trace.TracerProviderOption{
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", service))),
	}
	if config.Endpoint != "" {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(config.Endpoint))
		if err != nil {
			return nil, fmt.Errorf("setting trace-endpoint: %w", err)
		}
		options = append(options, trace.WithBatcher(exporter))
	}
	provider := trace.NewTracerProvider(options...)
	otel.SetTracerProvider(provider)
	return provider.Shutdown, nil
}
