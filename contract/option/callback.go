package option

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxCallbackURL is the maximum length of a callback_url, in bytes.
const MaxCallbackURL = 2048

// maxCallbackEvents is the maximum length of callback_events: each event once, with some space.
const maxCallbackEvents = 64

// callbackEvents are the types of the events that can be reported to a client.
var callbackEvents = []string{"job.succeeded", "job.failed", "job.canceled"}

// CheckCallbackURL returns what is wrong with a callback_url, in words that follow the option's name in a sentence and that
// do not repeat the value. Whether the address may be reached is checked only when the webhook is sent: the name may
// resolve to another address by then.
func CheckCallbackURL(value string) error {
	if len(value) > MaxCallbackURL {
		return fmt.Errorf("must have at most %d characters", MaxCallbackURL)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("must be ASCII without spaces: percent-encode other characters, and write the host in its ASCII form")
	}
	parsed, err := url.Parse(value)
	switch {
	case err != nil:
		return errors.New("must be a URL such as https://example.com/hook")
	case parsed.Scheme != "https" && parsed.Scheme != "http":
		return errors.New("must be an http or https URL")
	case parsed.Hostname() == "" || parsed.Opaque != "":
		return errors.New("must contain a host")
	case parsed.User != nil:
		return errors.New("must not contain a user or password; the signature of a webhook shows who sent it")
	case strings.Contains(value, "#"):
		return errors.New("must not contain a fragment")
	case strings.HasSuffix(parsed.Host, ":"), parsed.Port() != "" && !isPort(parsed.Port()):
		return errors.New("must have a port from 1 to 65535, or none")
	}
	return nil
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// ParseCallbackEvents returns the types of events in the value of callback_events, in the order of the table, or what is
// wrong with it.
func ParseCallbackEvents(value string) ([]string, error) {
	wanted := map[string]bool{}
	for event := range strings.SplitSeq(value, ",") {
		event = strings.TrimSpace(event)
		if !slices.Contains(callbackEvents, event) || wanted[event] {
			return nil, errors.New("must be one or more of " + strings.Join(callbackEvents, ", ") + ", each once, separated by commas")
		}
		wanted[event] = true
	}
	return slices.DeleteFunc(AllCallbackEvents(), func(event string) bool { return !wanted[event] }), nil
}

// AllCallbackEvents returns all types of events that can be reported. They apply if callback_events is omitted.
func AllCallbackEvents() []string { return slices.Clone(callbackEvents) }
