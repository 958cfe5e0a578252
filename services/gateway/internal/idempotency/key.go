// Package idempotency reads Idempotency-Key headers. It decides where the claim of a key is stored, and whether a submission
// repeats an earlier one.
package idempotency

import (
	"errors"
	"net/http"
	"strings"

	"github.com/docmill/docmill/contract/problem"
)

const (
	// Header is the header of a request that must be carried out only once.
	Header = "Idempotency-Key"
	// Replayed is the header of a response to a repeated request.
	Replayed = "Idempotent-Replayed"

	// maxKey is the maximum length of a key.
	maxKey = 255
)

// errKey describes a valid key.
var errKey = errors.New("must be 1 to 255 printable ASCII characters, with or without quotes")

// KeyOf returns the key of a request, or "" if it has none. Its error is a problem.
func KeyOf(header http.Header) (string, error) {
	values := header.Values(Header)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		key, err := parse(values[0])
		if err != nil {
			return "", invalid(err.Error())
		}
		return key, nil
	default:
		return "", invalid("must occur once")
	}
}

func invalid(detail string) error {
	return problem.New(problem.HeaderInvalid, "The header %s is invalid.", Header).With(problem.Field{Name: Header, Detail: detail})
}

// parse returns the key in the value of a header: a string of RFC 8941, or the same without quotes.
func parse(value string) (string, error) {
	key := strings.Trim(value, " \t")
	if strings.HasPrefix(key, `"`) {
		var err error
		if key, err = unquoted(key); err != nil {
			return "", err
		}
	}
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", errKey
	}
	return key, nil
}

// unquoted returns the content of a string of RFC 8941, section 4.2.5.
func unquoted(quoted string) (string, error) {
	var content strings.Builder
	for i := 1; i < len(quoted); i++ {
		switch c := quoted[i]; c {
		case '"':
			if i != len(quoted)-1 {
				return "", errors.New("must have nothing after the closing quote")
			}
			return content.String(), nil
		case '\\':
			i++
			if i == len(quoted) || quoted[i] != '"' && quoted[i] != '\\' {
				return "", errors.New(`must have a backslash only before " or \`)
			}
			content.WriteByte(quoted[i])
		default:
			content.WriteByte(c)
		}
	}
	return "", errors.New("must have a closing quote")
}
