// Package seal closes a message's secrets so that only its recipient can read them, for this job alone: authenticated
// encryption (AES-256-GCM) with a key that the sender and the recipient share, bound to the job's id. Whoever else sees the
// message, a broker's disk and an operator's tool included, learns only how long they are.
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
	Keys config.Secret `name:"seal-key-file" help:"File with the key that seals passwords on their way from gateway to converter: 32 random bytes in base64, the same for all. Several keys, one a line: the first one seals, each one opens. Empty: passwords are not taken." placeholder:"FILE"`
}

// Validate refuses what is no key.
func (c Config) Validate() error {
	_, err := New(c)
	return err
}

const keySize = 32

// Box seals and opens. Its nil value has no key. It is safe for concurrent use.
type Box struct {
	keys []key
}

type key struct {
	// id tells keys apart without telling of them: the first bytes of the key's SHA-256.
	id   [idSize]byte
	aead cipher.AEAD
}

const (
	version = 1
	idSize  = 4
)

// New makes a Box, or nil when no key is set.
func New(c Config) (*Box, error) {
	var box Box
	for i, text := range strings.Fields(c.Keys.Reveal()) {
		bytes, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(bytes) != keySize {
			return nil, fmt.Errorf("setting seal-key: key %d is not %d bytes in base64; `openssl rand -base64 %d` makes one", i+1, keySize, keySize)
		}
		block, err := aes.NewCipher(bytes)
		if err != nil {
			return nil, fmt.Errorf("setting seal-key: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block) // good for 2^32 messages a key (NIST SP 800-38D, 8.3)
		if err != nil {
			return nil, fmt.Errorf("setting seal-key: %w", err)
		}
		sum := sha256.Sum256(bytes)
		box.keys = append(box.keys, key{id: [idSize]byte(sum[:]), aead: aead})
	}
	if len(box.keys) == 0 {
		return nil, nil //nolint:nilnil // no key is no fault
	}
	return &box, nil
}

// Why something is not opened.
var (
	// ErrNoKey says that the key is not one of this Box: sender and recipient are set up differently.
	ErrNoKey = errors.New("sealed with a key that is not known here")
	// ErrBroken says that the sealed bytes are not those that were made for this job.
	ErrBroken = errors.New("the seal is broken")
)

// Seal closes plain for the job. It panics on a nil Box: who has no key takes no secrets.
func (b *Box) Seal(jobID string, plain []byte) []byte {
	first := b.keys[0]
	sealed := append([]byte{version}, first.id[:]...)
	return first.aead.Seal(sealed, nil, plain, []byte(jobID)) //nolint:gosec // no nonce is given: this kind of AEAD makes a random one
}

// Open gives what was sealed for the job. Errors are ErrNoKey or ErrBroken.
func (b *Box) Open(jobID string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+idSize || sealed[0] != version {
		return nil, fmt.Errorf("%w: no seal of version %d", ErrBroken, version)
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
