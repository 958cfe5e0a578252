package conversion

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestUnknown(t *testing.T) {
	t.Parallel()
	secrets := &conversionv1.Secrets{Password: new("hunter2")}
	require.Empty(t, unknown(secrets.ProtoReflect(), "secrets."))
	secrets.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 77, protowire.BytesType), "hunter2"))
	require.Equal(t, "the field secrets.77", unknown(secrets.ProtoReflect(), "secrets."), "no value of a secret is shown")

	listed := &conversionv1.ConversionSucceeded{Warnings: []*conversionv1.Warning{{}, {}}}
	require.Empty(t, unknown(listed.ProtoReflect(), ""))
	listed.GetWarnings()[1].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1))
	require.Equal(t, "the field warnings.9", unknown(listed.ProtoReflect(), ""))
}

// announced returns a fleet of one converter that converts vsd to pdf, and that has these options in addition to those
// of this release.
func announced(t *testing.T, options ...*conversionv1.KnownOption) *fleet.Fleet {
	t.Helper()
	body := &conversionv1.ConverterAnnounced{
		ConverterId: "another", ValidFor: durationpb.New(time.Minute), ContractVersion: fleet.LeavesToOthers,
		Options:      append(fleet.Options(), options...),
		Capabilities: []*conversionv1.Capability{{SourceFormat: "vsd", TargetFormats: []string{"pdf"}}},
	}
	envelope, err := message.Encode(t.Context(), message.Message{Body: body}, "test")
	require.NoError(t, err)
	var f fleet.Fleet
	handler, ok := f.Handler().(message.Each)
	require.True(t, ok)
	require.Equal(t, message.Ack, handler.Handle(t.Context(), &message.Delivery{Envelope: envelope}))
	return &f
}

// TestPasses checks how long an unsupported command waits, and when it is hopeless.
func TestPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missing, option := fmt.Errorf("%w of vsd", errConversion), fmt.Errorf("%w field 900", errUnsupported)
		passing := func(of *fleet.Fleet, cause error, source string, times int) (time.Duration, bool) {
			command := &conversionv1.ConvertRequested{
				Source: &conversionv1.Source{Format: source}, Target: &conversionv1.Target{Format: "pdf"},
			}
			return (&attempt{Deps: Deps{Converters: of}, command: command}).passing(cause, times)
		}
		settled, newer := announced(t), announced(t, &conversionv1.KnownOption{Name: "future"})
		time.Sleep(30 * time.Second) // all others would have announced themselves
		for name, c := range map[string]struct {
			converters *fleet.Fleet
			cause      error
			source     string
			times      int
			delay      time.Duration
			hopeless   bool
		}{
			"another converter has the filter": {settled, missing, "vsd", 8, 0, false},
			"it is occupied":                   {settled, missing, "vsd", 9, 10 * time.Second, false},
			"it is occupied for longer":        {settled, missing, "vsd", 15, time.Minute, false},
			"it is occupied for long":          {settled, missing, "vsd", 900, 5 * time.Minute, false},
			"no converter has the filter":      {settled, missing, "holo", 3, 5 * time.Minute, false},
			"no converter has it for long":     {settled, missing, "holo", 4, 5 * time.Minute, true},
			"others may follow":                {announced(t), missing, "holo", 9, 5 * time.Minute, false},
			"no converter is known":            {&fleet.Fleet{}, missing, "vsd", 1, 10 * time.Second, false},
			"no converter knows the option":    {settled, option, "vsd", 9, 5 * time.Minute, false},
			"another converter is newer":       {newer, option, "vsd", 8, 0, false},
			"the newer one is occupied":        {newer, option, "vsd", 9, 10 * time.Second, false},
			"there is only one converter":      {&fleet.Fleet{Single: true}, option, "vsd", 1, 0, true},
		} {
			delay, hopeless := passing(c.converters, c.cause, c.source, c.times)
			require.Equal(t, c.hopeless, hopeless, name)
			if !hopeless {
				require.Equal(t, c.delay, delay, name)
			}
		}
	})
}
