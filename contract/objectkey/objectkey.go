// Package objectkey defines which keys the files of jobs have, so that whoever deletes files leaves those alone that Docmill has not
// named. The records of idempotency keys and the markers of cancellations are named by packages claim and cancellation.
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

// JobOfResult returns the id of the job that a key of the results bucket names: what precedes the first slash. found is false if the key
// does not have the form that results have.
func JobOfResult(key string) (job uuid.UUID, found bool) {
	first, rest, _ := strings.Cut(key, "/")
	job, canonical := id(first)
	return job, canonical && rest != ""
}

// id parses an id that is written as Docmill writes ids. The other spellings that uuid.Parse accepts include the 32 digits of an MD5 hash,
// after which files of others may well be named.
func id(text string) (parsed uuid.UUID, canonical bool) {
	parsed, err := uuid.Parse(text)
	return parsed, err == nil && parsed.String() == text
}
