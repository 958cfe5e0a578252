package topology

import (
	"google.golang.org/protobuf/proto"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Routing keys on the exchange Jobs.
const (
	Submitted  = "job.submitted"
	Started    = "job.started"
	Progressed = "job.progressed"
	Retried    = "job.retried"
	Succeeded  = "job.succeeded"
	Failed     = "job.failed"
)

// everyEvent is the pattern of all of them.
const everyEvent = "job.#"

// Route gives the exchange and the key that a message of this type is published with. It says false for a type that is no
// message of its own.
func Route(message proto.Message) (exchange, key string, found bool) {
	if _, announces := message.(*conversionv1.ConverterAnnounced); announces {
		return Announcements, "", true // a fanout looks at no key
	}
	key, found = routingKey(message)
	return Jobs, key, found
}

func routingKey(message proto.Message) (string, bool) {
	switch message.(type) {
	case *conversionv1.ConvertRequested:
		return Submitted, true
	case *conversionv1.ConversionStarted:
		return Started, true
	case *conversionv1.ConversionProgressed:
		return Progressed, true
	case *conversionv1.ConversionRetried:
		return Retried, true
	case *conversionv1.ConversionSucceeded:
		return Succeeded, true
	case *conversionv1.ConversionFailed:
		return Failed, true
	default:
		return "", false
	}
}
