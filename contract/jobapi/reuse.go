package jobapi

// ReusePath is the route, on the internal port of the status service, that answers a submission with the result of an earlier job.
// The request is a [Reuse]. The response has no body: 201 means that the job was recorded and has succeeded, 204 that there is no
// such result, or that it cannot be copied now.
const ReusePath = "/internal/reuse"

// Reuse is a submission that has not been published yet.
type Reuse struct {
	// Command is the encoded message ConvertRequested.
	Command []byte `json:"command"`
	// Builds are the converters whose results may be reused.
	Builds [][]byte `json:"builds"`
}
