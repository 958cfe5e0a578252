package idempotency_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/gateway/internal/idempotency"
)

func box(t *testing.T, first byte) *seal.Box {
	t.Helper()
	key := make([]byte, 32)
	key[0] = first
	b, err := seal.New(seal.Config{Keys: config.NewSecret(base64.StdEncoding.EncodeToString(key))})
	require.NoError(t, err)
	return b
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	secrets := &conversionv1.Secrets{Password: new("open sesame")}
	sent := func() *conversionv1.ConvertRequested {
		return &conversionv1.ConvertRequested{
			Source: &conversionv1.Source{Filename: "a.docx", Size: 3, Sha256: make([]byte, 32)},
			Target: &conversionv1.Target{Format: "pdf", Options: &conversionv1.Options{Pages: new("1")}}, Tag: "mine",
			Callback: &conversionv1.Callback{Url: "https://example.com", Events: []string{"job.succeeded"}}, Retention: durationpb.New(time.Hour),
		}
	}
	command := sent()
	command.JobId, command.SubmissionId, command.ClaimKey = "1", "2", "claims/3"
	command.RequestedAt, command.ExpiresAt = timestamppb.Now(), timestamppb.Now()
	command.Source.ObjectKey, command.Source.Format, command.Source.ContentType = "2", "docx", "application/x"
	command.Target.SealedSecrets = []byte("sealed")
	earlier, err := idempotency.Claim(command, secrets, box(t, 1), time.Now())
	require.NoError(t, err)
	require.Nil(t, earlier.GetCommand().GetTarget().GetSealedSecrets(), "passwords are not kept as long as claims")
	require.NotNil(t, command.GetTarget().GetSealedSecrets())
	before := proto.CloneOf(earlier)

	same, err := idempotency.Repeats(earlier, sent(), secrets, box(t, 1))
	require.NoError(t, err)
	require.True(t, same)
	_, err = idempotency.Repeats(earlier, sent(), secrets, box(t, 2))
	require.ErrorIs(t, err, seal.ErrNoKey)

	for what, change := range map[string]func(c *conversionv1.ConvertRequested){
		"bytes":     func(c *conversionv1.ConvertRequested) { c.Source.Sha256[5] = 1 },
		"name":      func(c *conversionv1.ConvertRequested) { c.Source.Filename = "b.docx" },
		"target":    func(c *conversionv1.ConvertRequested) { c.Target.Format = "png" },
		"option":    func(c *conversionv1.ConvertRequested) { c.Target.Options.Pages = new("2") },
		"no option": func(c *conversionv1.ConvertRequested) { c.Target.Options = nil },
		"tag":       func(c *conversionv1.ConvertRequested) { c.Tag = "" },
		"callback":  func(c *conversionv1.ConvertRequested) { c.Callback.Url += "/" },
		"retention": func(c *conversionv1.ConvertRequested) { c.Retention = nil },
	} {
		later := sent()
		change(later)
		same, err := idempotency.Repeats(earlier, later, secrets, box(t, 1))
		require.NoError(t, err)
		require.False(t, same, what)
	}
	for _, other := range []*conversionv1.Secrets{nil, {Password: new("open")}, {Password: new("open sesame"), UserPassword: new("x")}} {
		same, err := idempotency.Repeats(earlier, sent(), other, box(t, 1))
		require.NoError(t, err)
		require.False(t, same)
	}
	require.True(t, proto.Equal(before, earlier), "it is unchanged")
}
