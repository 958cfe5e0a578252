package health

// State is how a part of a machine was found.
type State string

// The states of a part. Only what is broken keeps documents from being converted.
const (
	OK      State = "ok"
	Warning State = "warning"
	Broken  State = "broken"
)

// Finding is the result of an examination of a part of this machine, for the person who set it up.
type Finding struct {
	// Part is what was examined.
	Part  string `json:"part"`
	State State  `json:"state"`
	// Detail says what was found, Remedy how to mend it.
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}
