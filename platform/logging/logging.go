// Package logging creates the logger of a service: structured, on standard error, one event per line.
package logging

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Config selects what is logged and in which format.
type Config struct {
	Level  string `default:"info" enum:"debug,info,warn,error" help:"Minimum level to log: debug, info, warn or error."`
	Format string `default:"json" enum:"json,console" help:"Log format: json for machines, console for people."`
}

// New creates the logger of a service. Its lines contain the service's name. It is safe for concurrent use.
func New(config Config, service string) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(config.Level)
	if err != nil {
		return nil, fmt.Errorf("setting log-level: %w", err)
	}
	settings := zap.NewProductionConfig()
	settings.Level = zap.NewAtomicLevelAt(level)
	settings.Encoding = config.Format
	settings.EncoderConfig.TimeKey = "time"
	settings.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	settings.EncoderConfig.EncodeDuration = zapcore.SecondsDurationEncoder
	settings.DisableStacktrace = true // the chain of wrapped errors shows where; a stack trace repeats that in forty lines
	log, err := settings.Build()
	if err != nil {
		return nil, fmt.Errorf("build the logger: %w", err)
	}
	return log.With(zap.String("service", service)), nil
}

// Trace returns a field with the trace id of ctx, or one that is skipped if ctx has none.
func Trace(ctx context.Context) zap.Field {
	span := trace.SpanContextFromContext(ctx)
	if !span.HasTraceID() {
		return zap.Skip()
	}
	return zap.String("trace_id", span.TraceID().String())
}

// JobID returns a field with the id of a job.
func JobID(id string) zap.Field { return zap.String("job_id", id) }
