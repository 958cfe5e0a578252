package message_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// parts are the messages that are part of others: the contract lists them, so that a new message must either have a
// route or be added here.
var parts = map[protoreflect.Name]bool{
	"Source": true, "Callback": true, "Claim": true, "Target": true, "Options": true, "Secrets": true, "Result": true, "Warning": true, "Report": true,
	"Font": true, "Failure": true, "Capability": true, "KnownOption": true,
}

// marked is the only message in the queue Events that is not about a job.
var marked = (&conversionv1.StatusMarked{}).ProtoReflect().Descriptor().FullName()

// TestEveryMessageHasARoute: a message is published on its own and has a route, or it is a part of others and has none.
func TestEveryMessageHasARoute(t *testing.T) {
	t.Parallel()
	keys, seen := map[string]protoreflect.FullName{}, 0
	protoregistry.GlobalFiles.RangeFilesByPackage("docmill.conversion.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			descriptor := file.Messages().Get(i)
			seen++
			route, found := message.RouteOf(dynamicpb.NewMessage(descriptor))
			require.NotEqual(t, parts[descriptor.Name()], found, "%s must have a route or be listed as a part", descriptor.FullName())
			if !found {
				continue
			}
			require.Equal(t, descriptor.FullName(), route.Type)
			require.NotEmpty(t, route.Queues, route.Type)
			for _, queue := range route.Queues {
				require.NotEqual(t, "unknown", queue.String(), route.Type)
			}
			if route.Reaches(message.Announcements) {
				require.Empty(t, route.Key, "%s: announcements have no key", route.Type)
				require.Len(t, route.Queues, 1, "%s: an announcement reaches listeners only", route.Type)
				continue
			}
			require.True(t, route.Reaches(message.Events) || route.Reaches(message.Progress), "%s: the status service follows the job", route.Type)
			if aboutJob := descriptor.FullName() != marked; aboutJob {
				require.NotNil(t, descriptor.Fields().ByName("job_id"), "%s is about a job", route.Type)
				require.True(t, strings.HasPrefix(route.Key, "job."), "%s is about a job", route.Type)
			}
			require.Empty(t, keys[route.Key], "%s has the key of another message", route.Type)
			keys[route.Key] = route.Type
		}
		return true
	})
	require.Equal(t, len(parts)+len(message.Routes()), seen)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	commands := []message.Queue{message.Commands, message.Events}
	events := []message.Queue{message.Events}
	expected := map[proto.Message]message.Route{
		&conversionv1.ConvertRequested{}:     {Queues: commands, Key: "job.submitted"},
		&conversionv1.SubmissionWithdrawn{}:  {Queues: events, Key: "job.withdrawn"},
		&conversionv1.ConversionStarted{}:    {Queues: events, Key: "job.started"},
		&conversionv1.ConversionProgressed{}: {Queues: []message.Queue{message.Progress}, Key: "job.progressed"},
		&conversionv1.ConversionRetried{}:    {Queues: events, Key: "job.retried"},
		&conversionv1.ConversionSucceeded{}:  {Queues: events, Key: "job.succeeded"},
		&conversionv1.ConversionFailed{}:     {Queues: events, Key: "job.failed"},
		&conversionv1.ConversionCanceled{}:   {Queues: events, Key: "job.canceled"},
		&conversionv1.CancelAnnounced{}:      {Queues: []message.Queue{message.Announcements}},
		&conversionv1.StatusMarked{}:         {Queues: events, Key: "status.marked"},
		&conversionv1.ConverterAnnounced{}:   {Queues: []message.Queue{message.Announcements}},
	}
	for body, want := range expected {
		want.Type = proto.MessageName(body)
		got, found := message.RouteOf(body)
		require.True(t, found)
		require.Equal(t, want, got)
		require.Contains(t, message.Routes(), want)
	}
	require.Len(t, message.Routes(), len(expected))
	_, found := message.RouteOf(&conversionv1.Source{})
	require.False(t, found)
	_, found = message.RouteOf(nil)
	require.False(t, found)
}

func TestRetrySchedule(t *testing.T) {
	t.Parallel()
	delays := message.RetryDelays()
	for i, want := range delays {
		require.Equal(t, want, message.DelayAfter(i+1))
	}
	require.Equal(t, delays[len(delays)-1], message.DelayAfter(1000), "the last delay repeats")
	require.Equal(t, 6*time.Minute+10*time.Second, message.MinDeadline())
}
