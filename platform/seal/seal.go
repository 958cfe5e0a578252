// Package seal encrypts the secrets in a message so that only its recipient can read them, and only for that job:
// authenticated encryption (AES-256-GCM) with a key that sender and recipient share, bound to the job's id. Anything
// else that sees the message, such as a broker's disk or an operator's tool, learns only the length of the secrets.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/docmill/docmill/platform/config"
)

// Config is the shared key.
type Config struct {
	Keys config.Secret `name:"seal-key-file" help:"File with the key that encrypts passwords between gateway and converter: 32 random bytes in base64, the same for all gateways and converters. It may contain several keys, one per line: the first one encrypts, all of them decrypt. Without a key, docmill serve creates one in its data directory, and the other programs do not accept passwords." placeholder:"FILE"`
}

// Validate checks the keys.
func (c Config) Validate() error {
	_, err := New(c)
	return err
}

const keySize = 32

// Box seals and opens secrets. A nil Box has no key. It is safe for concurrent use.
type Box struct {
	keys []key
}

type key struct {
	// id identifies the key without revealing it: the first bytes of the key's SHA-256.
	id   [idSize]byte
	aead cipher.AEAD
}

const (
	version = 1
	idSize  = 4
)

// New returns a Box, or nil if no key is configured.
func New(c Config) (*Box, error) {
	var box Box
	for i, text := range strings.Fields(c.Keys.Reveal()) {
		bytes, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(bytes) != keySize {
			return nil, fmt.Errorf("setting seal-key: key %d is not %d bytes in base64; generate one with `openssl rand -base64 %d`", i+1, keySize, keySize)
		}
		block, err := aes.NewCipher(bytes)
		if err != nil {
			return nil, fmt.Errorf("setting seal-key: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block) // good for 2^32 messages per key (NIST SP 800-38D, 8.3)
		if err != nil {
			return nil, fmt.Errorf("setting seal-key: %w", err)
		}
		sum := sha256.Sum256(bytes)
		box.keys = append(box.keys, key{id: [idSize]byte(sum[:]), aead: aead})
	}
	if len(box.keys) == 0 {
		return nil, nil //nolint:nilnil // no key is not an error
	}
	return &box, nil
}

// Errors of Open.
var (
	// ErrNoKey means that the key is not one of this Box: sender and recipient are configured differently.
	ErrNoKey = errors.New("sealed with an unknown key")
	// ErrBroken means that the sealed bytes are not those that were made for this job.
	ErrBroken = errors.New("the seal is broken")
)

// Seal encrypts plain for the job. It panics on a nil Box: without a key no secrets are accepted.
func (b *Box) Seal(jobID string, plain []byte) []byte {
	first := b.keys[0]
	sealed := append([]byte{version}, first.id[:]...)
	return first.aead.Seal(sealed, nil, plain, []byte(jobID)) //nolint:gosec // the nonce is nil: this AEAD generates a random one
}

// Open returns what was sealed for the job. Its errors are ErrNoKey and ErrBroken.
func (b *Box) Open(jobID string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+idSize || sealed[0] != version {
		return nil, fmt.Errorf("%w: not a seal of version %d", ErrBroken, version)
	}
	id, rest := [idSize]byte(sealed[1:]), sealed[1+idSize:]
	if b != nil {
		for _, k := range b.keys {
			if k.id != id {
				continue
			}
			plain, err := k.aead.Open(nil, nil, rest, []byte(jobID))
			if err != nil {
				return nil, ErrBroken
			}
			return plain, nil
		}
	}
	return nil, fmt.Errorf("%w: %x", ErrNoKey, id)
}
