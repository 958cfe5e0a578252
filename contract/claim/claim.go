// Package claim stores the claims of Idempotency-Keys in the sources bucket. A claim is created once, before the
// submission that it records is published, and is deleted with its job.
package claim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/blob"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

const (
	// Prefix is the beginning of the keys of all claims. Nothing else in the bucket has it, except for SecretKey.
	Prefix = "claims/"
	// SecretKey is the key of the secret from which the keys of claims are derived. It must never be deleted: without it, no
	// earlier Idempotency-Key is recognized.
	SecretKey = Prefix + "secret"

	// maxSize is the maximum size of a claim in bytes: options and names are limited to far less.
	maxSize = 1 << 20
)

// ErrUnreadable means that a blob is not a claim that this release can read.
var ErrUnreadable = errors.New("unreadable claim")

// IsKey reports whether a key of the sources bucket belongs to a claim.
func IsKey(key string) bool { return strings.HasPrefix(key, Prefix) && key != SecretKey }

// Put creates the claim under the claim_key of its command. It returns blob.ErrExists if a claim exists already. That may be
// this one: the store's client repeats requests, and the response to the first one may have been lost.
func Put(ctx context.Context, sources blob.Bucket, c *conversionv1.Claim) error {
	content, err := proto.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode a claim: %w", err)
	}
	options := blob.PutOptions{ContentType: "application/protobuf", CreateOnce: true}
	return sources.Put(ctx, c.GetCommand().GetClaimKey(), bytes.NewReader(content), int64(len(content)), options)
}

// Get returns the claim with that key, or blob.ErrNotFound.
func Get(ctx context.Context, sources blob.Bucket, key string) (*conversionv1.Claim, error) {
	body, err := sources.Get(ctx, key, 0, maxSize)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read claim %s: %w", key, err)
	}
	var c conversionv1.Claim
	if err := proto.Unmarshal(content, &c); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrUnreadable, key, err)
	}
	if c.GetCommand().GetJobId() == "" || c.GetSettledBy() == nil {
		return nil, fmt.Errorf("%w %s: it names no job", ErrUnreadable, key)
	}
	return &c, nil
}

// Release deletes the claim with that key if it belongs to the job: the key may have been claimed again in the meantime.
func Release(ctx context.Context, sources blob.Bucket, key, jobID string) error {
	present, err := Get(ctx, sources, key)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return nil
	case err != nil:
		return err
	case present.GetCommand().GetJobId() != jobID:
		return nil
	default:
		return sources.Delete(ctx, key)
	}
}
