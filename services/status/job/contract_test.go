package job_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/docmill/docmill/contract/message"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/job"
)

// marked is the type of the marks, which package watermark reads.
var marked = (&conversionv1.StatusMarked{}).ProtoReflect().Descriptor().FullName()

// TestEveryMessageInQueueEventsIsRead requires that Read understands every type of message about a job that the queues
// Events and Progress receive, and no other, and that it validates them.
func TestEveryMessageInQueueEventsIsRead(t *testing.T) {
	t.Parallel()
	for _, descriptor := range contractMessages() {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
		require.NoError(t, err)
		filled := kind.New()
		fill(filled)
		queues, _ := message.QueuesOf(filled.Interface())
		event, err := job.Read(filled.Interface())
		if !slices.Contains(queues, message.Events) && !slices.Contains(queues, message.Progress) || descriptor.FullName() == marked {
			require.ErrorIs(t, err, job.ErrInvalid, "%s is not about a job", descriptor.FullName())
			continue
		}
		require.NoError(t, err, "%s is routed to the queue", descriptor.FullName())
		require.Equal(t, uuid.UUID(id), event.Job())
		_, err = job.Read(kind.New().Interface())
		require.ErrorIs(t, err, job.ErrInvalid, "%s without any field", descriptor.FullName())
		_, change := job.Apply(job.New(uuid.UUID(id)), event)
		require.True(t, change.Any, "%s has an effect", descriptor.FullName())
	}
}

// eventMessages returns the types of all messages about jobs that the queues Events and Progress receive.
func eventMessages() []protoreflect.FullName {
	var all []protoreflect.FullName
	for _, route := range message.Routes() {
		if (route.Reaches(message.Events) || route.Reaches(message.Progress)) && route.Type != marked {
			all = append(all, route.Type)
		}
	}
	return all
}

// contractMessages returns all types of messages in the contract's package.
func contractMessages() []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	contract := (&conversionv1.ConvertRequested{}).ProtoReflect().Descriptor().ParentFile().Package()
	protoregistry.GlobalFiles.RangeFilesByPackage(contract, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			all = append(all, file.Messages().Get(i))
		}
		return true
	})
	return all
}

// fill sets every field to a value that is valid in all messages.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch field := fields.Get(i); {
		case field.IsList() && field.Kind() == protoreflect.MessageKind:
			element := m.Mutable(field).List().AppendMutable().Message()
			fill(element)
		case field.IsList():
			m.Mutable(field).List().Append(scalar(field))
		case field.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(field).Message())
		default:
			m.Set(field, scalar(field))
		}
	}
}

func scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		if field.Name() == "job_id" || field.Name() == "submission_id" {
			return protoreflect.ValueOfString(uuid.UUID(id).String())
		}
		return protoreflect.ValueOfString("text")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{7}, 32))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(1)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(1)
	default:
		return protoreflect.ValueOfInt32(1)
	}
}
