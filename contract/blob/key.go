package blob

import (
	"fmt"
	"strings"
)

// maxKey is the longest key in bytes. It equals Linux's limit on file names, so that a key can be one.
const maxKey = 255

// ValidateKey returns ErrInvalidKey unless key is 1 to 255 bytes of ASCII letters, digits, "-", "_" and ".", in
// segments separated by "/", of which none is empty, "." or "..". Implementations call it before they use a key.
func ValidateKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("%w: %d bytes, not 1 to %d", ErrInvalidKey, len(key), maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.IndexFunc(segment, notInKeys) >= 0 {
			return fmt.Errorf("%w: %q", ErrInvalidKey, key)
		}
	}
	return nil
}

func notInKeys(c rune) bool {
	return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' && c != '.'
}
