package message

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	routingv1 "github.com/docmill/docmill/proto/docmill/routing/v1"
)

// QueuesFor returns the queues that receive the message. It returns false if its body is not published on its own.
func QueuesFor(m Message) ([]Queue, bool) {
	queues, found := QueuesOf(m.Body)
	if found && m.Returned {
		return []Queue{Returned}, true
	}
	return queues, found
}

// Route is where a message goes. Each message defines its own, with the option of package routingv1.
type Route struct {
	// Type is the full name of the protobuf message.
	Type protoreflect.FullName
	// Queues are the queues that receive the message, unless it is a returned command.
	Queues []Queue
	// Key is the routing key, such as "job.started"; empty for announcements.
	Key string
}

// Reaches reports whether the route leads to the queue.
func (r Route) Reaches(queue Queue) bool { return slices.Contains(r.Queues, queue) }

// RouteOf returns the route of a message with this body. It returns false for a type that is not published on its own.
func RouteOf(body proto.Message) (Route, bool) {
	if body == nil {
		return Route{}, false
	}
	return routeOf(body.ProtoReflect().Descriptor())
}

// QueuesOf returns the queues that receive a message with this body, unless it is a returned command. It returns false for a
// type that is not published on its own.
func QueuesOf(body proto.Message) ([]Queue, bool) {
	route, found := RouteOf(body)
	return route.Queues, found
}

// Routes returns the routes of all messages.
func Routes() []Route {
	var all []Route
	protoregistry.GlobalFiles.RangeFilesByPackage(packageName(), func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			if route, found := routeOf(file.Messages().Get(i)); found {
				all = append(all, route)
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b Route) int { return strings.Compare(string(a.Type), string(b.Type)) })
	return all
}

// packageName is the package of all messages that are published.
func packageName() protoreflect.FullName {
	return conversionv1.File_docmill_conversion_v1_job_proto.Package()
}

func routeOf(descriptor protoreflect.MessageDescriptor) (Route, bool) {
	options := descriptor.Options()
	if !proto.HasExtension(options, routingv1.E_Route) {
		return Route{}, false
	}
	option, _ := proto.GetExtension(options, routingv1.E_Route).(*routingv1.Route)
	route := Route{Type: descriptor.FullName(), Key: option.GetKey()}
	for _, queue := range option.GetQueues() {
		route.Queues = append(route.Queues, queueOf(queue))
	}
	return route, true
}

func queueOf(queue routingv1.Queue) Queue {
	switch queue {
	case routingv1.Queue_QUEUE_COMMANDS:
		return Commands
	case routingv1.Queue_QUEUE_EVENTS:
		return Events
	case routingv1.Queue_QUEUE_ANNOUNCEMENTS:
		return Announcements
	case routingv1.Queue_QUEUE_PROGRESS:
		return Progress
	default:
		return 0
	}
}
