package httpserver

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxWait is the maximum time that a response is held: most proxies abort a silent response after 60 s or more.
const MaxWait = time.Minute

// PreferWait parses Prefer: wait=N (RFC 7240, section 4.3), in whole seconds, without a limit. asked is false if the
// client did not send it. The first one counts; one whose value is not a number of seconds is ignored, as preferences
// are never errors.
func PreferWait(header http.Header) (wait time.Duration, asked bool) {
	for preference := range strings.SplitSeq(strings.Join(header.Values("Prefer"), ","), ",") {
		preference, _, _ = strings.Cut(preference, ";") // parameters: this preference has none
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
		if err != nil {
			return 0, false // ParseUint returns the maximum for a number that is too large
		}
		return time.Duration(n) * time.Second, true
	}
	return 0, false
}

// PreferenceApplied returns the value of Preference-Applied for a wait that was granted.
func PreferenceApplied(wait time.Duration) string {
	return "wait=" + strconv.Itoa(int(wait/time.Second))
}
