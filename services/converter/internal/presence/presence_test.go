package presence_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/pace"
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
	var average pace.Average
	average.Add(1500 * time.Millisecond)
	messages, drain, ended := make(published), make(chan struct{}), make(chan error, 1)
	announcer := presence.Announcer{Publisher: messages, Formats: []format.Format{pptx, csv}, Slots: 3, Pace: &average, Log: zaptest.NewLogger(t)}
	go func() { ended <- announcer.Run(t.Context(), func() {}, drain) }()
	sent, ok := (<-messages).Body.(*conversionv1.ConverterAnnounced)
	require.True(t, ok)
	close(drain)
	require.NoError(t, <-ended)

	require.NotEmpty(t, sent.GetConverterId())
	require.EqualValues(t, 3, sent.GetSlots())
	require.InDelta(t, 1.5, sent.GetConversionSeconds(), 0)
	require.Equal(t, []string{"pptx", "csv"}, sent.GetSourceFormats(), "for gateways from before capabilities")
	require.EqualValues(t, 1, sent.GetContractVersion())
	known := map[string][]string{}
	for _, o := range sent.GetOptions() {
		known[o.GetName()] = o.GetValues()
	}
	require.Len(t, known, len(option.All()))
	require.Equal(t, []string{"portrait", "landscape"}, known["orientation"])
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

// TestDrainDoesNotWaitForTheBroker: the publisher waits for a broker that is down, with longer limits of its own.
func TestDrainDoesNotWaitForTheBroker(t *testing.T) {
	t.Parallel()
	drain, publishing := make(chan struct{}), make(chan time.Duration, 1)
	announcer := presence.Announcer{Publisher: away(publishing), Pace: &pace.Average{}, Log: zaptest.NewLogger(t)}
	ended := make(chan error, 1)
	go func() { ended <- announcer.Run(t.Context(), func() {}, drain) }()
	require.LessOrEqual(t, <-publishing, 5*time.Second)
	close(drain)
	require.NoError(t, <-ended)
}

// away is a Publisher that waits for its broker. It sends for how long.
type away chan time.Duration

func (a away) Publish(ctx context.Context, _ message.Message) error {
	until, limited := ctx.Deadline()
	if !limited {
		until = time.Now().Add(time.Hour)
	}
	a <- time.Until(until)
	<-ctx.Done()
	return message.ErrNotConnected
}
