package httpapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest that an answer is held: below the patience of common proxies, which is a minute and more.
const maxWait = time.Minute

// preferredWait reads how long a client would have its answer held (RFC 7240, Prefer: wait=10): 0 when it does not say so,
// or not in a way that can be read, because preferences are never errors. The first one counts; more than a minute is
// a minute.
func preferredWait(header http.Header) time.Duration {
	for _, line := range header.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			preference, _, _ = strings.Cut(preference, ";") // parameters
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0
			}
			return min(time.Duration(seconds)*time.Second, maxWait)
		}
	}
	return 0
}

// appliedWait says which wait was applied.
func appliedWait(wait time.Duration) string { return "wait=" + strconv.Itoa(int(wait/time.Second)) }
