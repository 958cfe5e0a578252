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

// RoutingKey gives the key under which a message of this type is published on the exchange Jobs. It says false for a
// type that has no business there.
func RoutingKey(message proto.Message) (string, bool) {
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
