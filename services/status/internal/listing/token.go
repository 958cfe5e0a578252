package listing

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// A token is the version, the id of the last job of its page, and a digest of the filter. It contains nothing that the page and
// its request do not show, and a forged token selects nothing that another filter could not. So it is not signed.
const (
	tokenVersion = 1
	digestSize   = 8
	tokenSize    = 1 + len(uuid.UUID{}) + digestSize
)

// Token returns the token of the page after one that ends with the job last.
func Token(last uuid.UUID, filter jobstore.Filter) string {
	token := append([]byte{tokenVersion}, last[:]...)
	return base64.RawURLEncoding.EncodeToString(append(token, digest(filter)...))
}

var errToken = errors.New("not a token of this filter")

// readToken returns the id in a token of the same filter.
func readToken(text string, filter jobstore.Filter) (last uuid.UUID, err error) {
	token, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(token) != tokenSize || token[0] != tokenVersion || !bytes.Equal(token[1+len(last):], digest(filter)) {
		return uuid.Nil, errToken
	}
	last = uuid.UUID(token[1 : 1+len(last)])
	if last == uuid.Nil { // which would select the first page again
		return uuid.Nil, errToken
	}
	return last, nil
}

// digest identifies what a filter matches.
func digest(filter jobstore.Filter) []byte {
	from, before := jobstore.Selection{Filter: filter}.Range()
	encoded, _ := json.Marshal(struct { // which cannot fail
		Statuses []job.Status `json:"statuses"`
		Tag      string       `json:"tag"`
		From     uuid.UUID    `json:"from"`
		Before   uuid.UUID    `json:"before"`
	}{filter.Wanted(), filter.Tag, from, before})
	sum := sha256.Sum256(encoded)
	return sum[:digestSize]
}
