package httpapi

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docmill/docmill/services/status/internal/fold"
)

// tagOf is the entity tag of a job's representation. It is a strong one: equal versions have equal bytes.
func tagOf(j fold.Job) string { return `"` + strconv.FormatInt(j.Version, 10) + `"` }

// tags is what a client says it has, in If-None-Match (RFC 9110, section 13.1.2).
type tags struct {
	any  bool
	list []string
}

// readTags reads a list of entity tags or "*". Weakness is dropped: If-None-Match compares weakly. What is no tag is skipped.
func readTags(values []string) tags {
	var found tags
	for _, rest := range values {
		if strings.TrimSpace(rest) == "*" {
			found.any = true
			continue
		}
		for {
			// Quotes cannot be escaped in a tag, and a tag may hold commas: so quotes alone separate.
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

// given tells whether the client has said anything.
func (t tags) given() bool { return t.any || len(t.list) > 0 }

// match tells whether the client has the representation with this tag.
func (t tags) match(tag string) bool {
	return t.any || slices.Contains(t.list, tag)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
