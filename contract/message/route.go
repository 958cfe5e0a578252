package message

import (
	"google.golang.org/protobuf/proto"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// QueuesOf returns the queues that receive a message with this body, published without a delay. It returns false for a
// type that is not published on its own.
func QueuesOf(body proto.Message) ([]Queue, bool) {
	switch body.(type) {
	case *conversionv1.ConvertRequested:
		return []Queue{Commands, Events}, true
	case *conversionv1.ConversionStarted, *conversionv1.ConversionProgressed, *conversionv1.ConversionRetried,
		*conversionv1.ConversionSucceeded, *conversionv1.ConversionFailed:
		return []Queue{Events}, true
	case *conversionv1.ConverterAnnounced:
		return []Queue{Announcements}, true
	default:
		return nil, false
	}
}
