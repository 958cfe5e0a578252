package conversion

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

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
