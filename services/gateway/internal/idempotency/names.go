package idempotency

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/retry"
)

// secretSize is the size in bytes of the secret that all gateways share.
const secretSize = 32

// Names derives the object keys of claims from the idempotency keys of clients. It uses a secret, which the first gateway
// creates in the bucket, so that listing the bucket does not reveal what clients choose. It is safe for concurrent use.
type Names struct {
	sources blob.Bucket
	secret  atomic.Pointer[[]byte] // nil until it was read
	// once is set when the store has shown that it does not replace the secret.
	once atomic.Bool
}

// NewNames returns the names of claims in a bucket.
func NewNames(sources blob.Bucket) *Names { return &Names{sources: sources} }

// ClaimKey returns the object key of the claim for an idempotency key of a client.
func (n *Names) ClaimKey(ctx context.Context, client, key string) (string, error) {
	secret, err := n.get(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, secret)
	// The length separates the two parts.
	_, _ = mac.Write([]byte(strconv.Itoa(len(client)) + ":" + client + key)) // never fails
	return claim.Prefix + hex.EncodeToString(mac.Sum(nil)), nil
}

// ErrNotOnce means that the store replaces a blob that should be created only once. Then idempotency keys do not work: concurrent
// requests with the same key would all be carried out.
var ErrNotOnce = errors.New("the object store ignores the header If-None-Match of a PUT, which idempotency keys require; " +
	"use a store that supports conditional writes")

// patience bounds the delays between attempts to read the secret: a store that comes back is noticed within 15 s.
var patience = retry.Policy{Initial: 500 * time.Millisecond, Max: 15 * time.Second}

// Run reads the secret, so that no request has to, and checks the store, until it can. It returns ErrNotOnce if the store cannot be used.
// It is a component of package host.
func (n *Names) Run(log *zap.Logger) func(ctx context.Context, ready func(), drain <-chan struct{}) error {
	return func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		ready()
		reading, stop := host.Context(ctx, drain)
		defer stop()
		err := retry.Loop(reading, patience, log, "cannot check the store of the idempotency keys; retrying", func(ctx context.Context) error {
			secret, err := n.get(ctx)
			if err == nil && !n.once.Load() {
				err = n.requireOnce(ctx, secret)
			}
			if errors.Is(err, ErrNotOnce) {
				return retry.Permanent(err)
			}
			return err
		})
		if errors.Is(err, ErrNotOnce) {
			return err
		}
		<-drain
		return nil
	}
}

// get returns the secret, and creates it if there is none. If several gateways do so at the same time, all get the first one's.
func (n *Names) get(ctx context.Context) ([]byte, error) {
	if known := n.secret.Load(); known != nil {
		return *known, nil
	}
	secret, err := n.read(ctx)
	if errors.Is(err, blob.ErrNotFound) {
		proposed := make([]byte, secretSize)
		_, _ = rand.Read(proposed) // never fails
		put := n.sources.Put(ctx, claim.SecretKey, bytes.NewReader(proposed), secretSize, blob.PutOptions{CreateOnce: true})
		if put != nil && !errors.Is(put, blob.ErrExists) {
			return nil, put
		}
		secret, err = n.read(ctx) // another gateway may have been first
	}
	if err != nil {
		return nil, err
	}
	// Another error proves nothing. A full disk, for example, does not keep a submission from being repeated, which needs no write.
	if err := n.requireOnce(ctx, secret); errors.Is(err, ErrNotOnce) {
		return nil, err
	}
	n.secret.Store(&secret)
	return secret, nil
}

// requireOnce returns ErrNotOnce if the store replaces the secret, in which case it still has the same one.
func (n *Names) requireOnce(ctx context.Context, secret []byte) error {
	err := n.sources.Put(ctx, claim.SecretKey, bytes.NewReader(secret), int64(len(secret)), blob.PutOptions{CreateOnce: true})
	switch {
	case errors.Is(err, blob.ErrExists):
		n.once.Store(true)
		return nil
	case err == nil:
		return ErrNotOnce
	default:
		return err
	}
}

func (n *Names) read(ctx context.Context) ([]byte, error) {
	body, err := n.sources.Get(ctx, claim.SecretKey, 0, secretSize+1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	secret, err := io.ReadAll(body)
	if err == nil && len(secret) != secretSize {
		err = fmt.Errorf("%d bytes or more instead of %d", len(secret), secretSize)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret of the claims, %s: %w", claim.SecretKey, err)
	}
	return secret, nil
}
