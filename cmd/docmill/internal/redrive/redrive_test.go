package redrive_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/redrive"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// inDirectory calls use with the queues of the data directory.
func inDirectory(t *testing.T, path string, use func(t *testing.T, broker message.Broker)) {
	t.Helper()
	dir, err := datadir.Open(t.Context(), path, zap.NewNop(), prometheus.NewRegistry())
	require.NoError(t, err)
	t.Run("in the directory", func(t *testing.T) { use(t, dir.Messages.Broker("test", nil, nil)) })
	require.NoError(t, dir.Close())
}

func TestRedrive(t *testing.T) { //nolint:paralleltest // its subtests come one after another
	path := t.TempDir()
	inDirectory(t, path, func(t *testing.T, broker message.Broker) {
		t.Helper()
		dead := make(chan struct{})
		c, err := broker.NewConsumer(message.Events, message.Each{Handle: func(context.Context, *message.Delivery) message.Outcome {
			close(dead)
			return message.DeadLetter
		}}, message.ConsumerOptions{})
		require.NoError(t, err)
		drain, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- c.Run(context.Background(), func() {}, drain) }()
		require.NoError(t, messagetest.Publisher(t, broker).Publish(t.Context(), message.Message{
			JobID: "job", Body: &conversionv1.ConversionStarted{JobId: "job", Attempt: 1, StartedAt: timestamppb.Now()},
		}))
		<-dead
		close(drain)
		require.NoError(t, <-ended)
	})
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	require.NoError(t, (&redrive.Command{Data: path}).Run(t.Context(), &invocation.Streams{Stdout: out}))
	printed, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	require.Contains(t, string(printed), "moved 1 of 1 messages from dead-events to events\n")
	inDirectory(t, path, func(t *testing.T, broker message.Broker) {
		t.Helper()
		require.Equal(t, "job", messagetest.Take(t, broker, message.Events).JobID)
	})
}
