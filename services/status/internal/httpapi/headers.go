package httpapi

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docmill/docmill/services/status/job"
)

// tagOf returns the entity tag of a job's representation. It is strong: equal versions have equal bytes.
func tagOf(j job.Job) string { return `"` + strconv.FormatInt(j.Version, 10) + `"` }

// tags are the representations that a client has, from If-None-Match (RFC 9110, section 13.1.2).
type tags struct {
	any  bool
	list []string
}

// readTags parses lists of entity tags, or "*". It drops the prefix of weak tags, because If-None-Match compares
// weakly, and skips what is not a tag.
func readTags(values []string) tags {
	var found tags
	for _, rest := range values {
		if strings.TrimSpace(rest) == "*" {
			found.any = true
			continue
		}
		for {
			// A tag may contain commas, and quotes cannot be escaped in it: so only quotes separate.
			_, after, opened := strings.Cut(rest, `"`)
			tag, next, closed := strings.Cut(after, `"`)
			if !opened || !closed {
				break
			}
			found.list = append(found.list, `"`+tag+`"`)
			rest = next
		}
	}
	return found
}

// given reports whether the client sent any tag.
func (t tags) given() bool { return t.any || len(t.list) > 0 }

// match reports whether the client has the representation with this tag.
func (t tags) match(tag string) bool {
	return t.any || slices.Contains(t.list, tag)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
