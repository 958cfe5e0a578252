package presence_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/presence"
)

type published chan message.Message

func (p published) Publish(_ context.Context, m message.Message) error {
	p <- m
	return message.ErrUnroutable
}

func TestAnnouncementHasEveryPairOfFormats(t *testing.T) {
	t.Parallel()
	pptx, _ := format.ByID("pptx")
	csv, _ := format.ByID("csv")
	messages, drain, ended := make(published), make(chan struct{}), make(chan error, 1)
	announcer := presence.Announcer{Publisher: messages, Formats: []format.Format{pptx, csv}, Log: zaptest.NewLogger(t)}
	go func() { ended <- announcer.Run(t.Context(), func() {}, drain) }()
	sent, ok := (<-messages).Body.(*conversionv1.ConverterAnnounced)
	require.True(t, ok)
	close(drain)
	require.NoError(t, <-ended)

	require.NotEmpty(t, sent.GetConverterId())
	require.Equal(t, []string{"pptx", "csv"}, sent.GetSourceFormats(), "for gateways from before capabilities")
	require.Len(t, sent.GetCapabilities(), 2)
	for i, f := range announcer.Formats {
		require.Equal(t, f.ID, sent.GetCapabilities()[i].GetSourceFormat())
		var targets []string
		for target := range f.Targets() {
			targets = append(targets, target.ID)
		}
		require.Equal(t, targets, sent.GetCapabilities()[i].GetTargetFormats())
	}
}
