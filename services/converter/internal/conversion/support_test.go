package conversion_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// newer adds a field to a message that this release does not know.
func newer(m proto.Message) {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 900, protowire.VarintType), 1))
}

// unsupported are changes that make a command one of a newer release, and what the converter says about them.
var unsupported = map[string]struct {
	change func(*conversionv1.ConvertRequested)
	says   string
}{
	"field of the command": {func(c *conversionv1.ConvertRequested) { newer(c) }, "the field 900"},
	"field of the source":  {func(c *conversionv1.ConvertRequested) { newer(c.GetSource()) }, "the field source.900"},
	"field of the target":  {func(c *conversionv1.ConvertRequested) { newer(c.GetTarget()) }, "the field target.900"},
	"option": {func(c *conversionv1.ConvertRequested) {
		c.Target.Options = &conversionv1.Options{}
		newer(c.GetTarget().GetOptions())
	}, "the field target.options.900"},
	"value of an option": {func(c *conversionv1.ConvertRequested) {
		c.Target.Options = &conversionv1.Options{PdfA: 99}
	}, "the value 99 of the field target.options.pdf_a"},
	"number beyond its limits": {func(c *conversionv1.ConvertRequested) {
		c.Target.Options = &conversionv1.Options{ImageQuality: new(int32(101))}
	}, "the value of the option image_quality"},
	"text in a newer notation": {func(c *conversionv1.ConvertRequested) {
		c.Target.Options = &conversionv1.Options{Pages: new("odd")}
	}, "the value of the option pages"},
	"source format":  {func(c *conversionv1.ConvertRequested) { c.Source.Format = "holo" }, `"holo" to "pdf"`},
	"target format":  {func(c *conversionv1.ConvertRequested) { c.Target.Format = "holo" }, `"pptx" to "holo"`},
	"missing filter": {func(c *conversionv1.ConvertRequested) { c.Source.Format = "vsd" }, "the format vsd"},
}

// startOlder runs a converter without the filter for Visio drawings, whose engine must not be called.
func (b *bench) startOlder() running {
	b.formats = slices.DeleteFunc(b.formats, func(f format.Format) bool { return f.ID == "vsd" })
	return b.start(func(context.Context, engine.Request) (engine.Output, error) {
		b.t.Error("an unsupported command was converted")
		return engine.Output{}, errors.New("unexpected")
	})
}

// TestUnsupportedCommandIsLeftToOthers checks that nothing in a command is ignored: a command of a newer gateway comes
// back unchanged, and its attempt does not count.
func TestUnsupportedCommandIsLeftToOthers(t *testing.T) {
	t.Parallel()
	for name, c := range unsupported {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			command := b.submit([]byte("a document"), c.change)
			consumer := b.startOlder()
			for next(t, b.warnings) != "leaving a command to another converter" {
			}
			consumer.drain()
			require.NoError(t, next(t, consumer.done))
			returned := b.take(message.Returned)
			require.Equal(t, 1, returned.Attempt)
			body, err := returned.Message()
			require.NoError(t, err)
			command.Passes = 1
			require.True(t, proto.Equal(command, body), "%v", body)
			require.Empty(t, b.events, "the job is still queued")
		})
	}
}

// TestUnsupportedCommandFailsAtItsDeadline checks that a job fails when it is too late for another converter.
func TestUnsupportedCommandFailsAtItsDeadline(t *testing.T) {
	t.Parallel()
	for name, c := range unsupported {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.submit([]byte("a document"), func(command *conversionv1.ConvertRequested) {
				command.Passes = 7
				command.ExpiresAt = timestamppb.New(time.Now().Add(4 * time.Minute)) // the next delay is 5 minutes
				c.change(command)
			})
			consumer := b.startOlder()
			failed := expect[*conversionv1.ConversionFailed](b)
			require.Equal(t, string(problem.FormatUnsupported), failed.GetFailure().GetCode())
			require.Contains(t, failed.GetFailure().GetDetail(), c.says)
			b.settled(consumer)
		})
	}
}

// announce announces another converter with these capabilities.
func (b *bench) announce(options []*conversionv1.KnownOption, can ...*conversionv1.Capability) {
	handler := b.converters.Handler().(message.Each)
	envelope, err := message.Encode(b.t.Context(), message.Message{Body: &conversionv1.ConverterAnnounced{
		ConverterId: "another", ValidFor: durationpb.New(time.Minute), ContractVersion: 1, Capabilities: can, Options: options,
	}}, "test")
	require.NoError(b.t, err)
	require.Equal(b.t, message.Ack, handler.Handle(b.t.Context(), &message.Delivery{Envelope: envelope}))
}

// TestCommandIsLeftToTheConverterThatSupportsIt has a converter that cannot read a document, and another one that can.
func TestCommandIsLeftToTheConverterThatSupportsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.announce(nil, &conversionv1.Capability{SourceFormat: "vsd", TargetFormats: []string{"pdf"}})
	b.submit([]byte("a document"), unsupported["missing filter"].change)
	b.startOlder()
	b.warned("leaving a command to another converter")
	b.formats = slices.Collect(format.All())
	b.start(copies)
	started := expect[*conversionv1.ConversionStarted](b)
	require.EqualValues(t, 1, started.GetAttempt())
	expect[*conversionv1.ConversionSucceeded](b)
}

// TestUnsupportedCommandFailsWithoutOthers: without other converters, there is none to wait for.
func TestUnsupportedCommandFailsWithoutOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.converters.Single = true
	b.submit([]byte("a document"), unsupported["missing filter"].change)
	consumer := b.startOlder()
	failed := expect[*conversionv1.ConversionFailed](b)
	require.Equal(t, string(problem.FormatUnsupported), failed.GetFailure().GetCode())
	b.settled(consumer)
}
