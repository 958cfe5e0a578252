// Package logging makes a service's logger: structured, on standard error, one event a line.
package logging

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Config says what is logged and how it looks.
type Config struct {
	Level  string `default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: debug, info, warn or error."`
	Format string `default:"json" enum:"json,console" help:"How a log line looks: json for machines, console for people."`
}

// New makes the logger of one service. Its lines carry the service's name; it is safe for concurrent use.
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
	settings.DisableStacktrace = true // the chain of wrapped errors says where; a stack says it again, forty lines long
	log, err := settings.Build()
	if err != nil {
		return nil, fmt.Errorf("build the logger: %w", err)
	}
	return log.With(zap.String("service", service)), nil
}

// Trace gives the field that joins a log line to the trace of ctx; it is skipped when ctx has none.
func Trace(ctx context.Context) zap.Field {
	span := trace.SpanContextFromContext(ctx)
	if !span.HasTraceID() {
		return zap.Skip()
	}
	return zap.String("trace_id", span.TraceID().String())
}

// JobID gives the field that joins a log line to a job.
func JobID(id string) zap.Field { return zap.String("job_id", id) }
