// Package objectkey defines the form of the keys of documents and results, so that files that do not belong to Docmill are never deleted.
// Packages claim and cancellation define the keys of the records of idempotency keys and of the markers of cancellations.
package objectkey

import (
	"strings"

	"github.com/google/uuid"
)

// IsDocument reports whether a key of the sources bucket has the form that gateways give to documents: the id of a submission.
func IsDocument(key string) bool {
	_, canonical := id(key)
	return canonical
}

// JobOfResult returns the id of the job in a key of the results bucket: the part before the first slash. found is false if the key does not
// have the form of a result's key.
func JobOfResult(key string) (job uuid.UUID, found bool) {
	first, rest, _ := strings.Cut(key, "/")
	job, canonical := id(first)
	return job, canonical && rest != ""
}

// id parses an id in the form that Docmill writes. uuid.Parse accepts other forms, too, such as 32 hexadecimal digits: files that do not
// belong to Docmill may be named after an MD5 hash.
func id(text string) (parsed uuid.UUID, canonical bool) {
	parsed, err := uuid.Parse(text)
	return parsed, err == nil && parsed.String() == text
}
