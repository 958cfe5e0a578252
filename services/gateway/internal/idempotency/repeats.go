package idempotency

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Claim returns the claim of a command with these secrets.
func Claim(
	command *conversionv1.ConvertRequested, secrets *conversionv1.Secrets, box *seal.Box, settledBy time.Time,
) (*conversionv1.Claim, error) {
	c := &conversionv1.Claim{Command: proto.CloneOf(command), SettledBy: timestamppb.New(settledBy)}
	c.Command.Target.SealedSecrets = nil
	c.Command.CacheDigest = nil // older gateways would compare it as if the client had sent it
	if secrets == nil {
		return c, nil
	}
	digest, err := digestOf(secrets)
	if err != nil {
		return nil, err
	}
	c.SealedDigest = box.Seal(command.GetJobId(), digest)
	return c, nil
}

// digestOf returns the digest of secrets. It is only stored sealed, because passwords can be guessed.
func digestOf(secrets *conversionv1.Secrets) ([]byte, error) {
	plain, err := proto.MarshalOptions{Deterministic: true}.Marshal(secrets)
	if err != nil {
		return nil, fmt.Errorf("encode the secrets: %w", err)
	}
	defer clear(plain)
	sum := sha256.Sum256(plain)
	return sum[:], nil
}

// Repeats reports whether a later submission with these secrets repeats the earlier one of a claim: the same bytes under the
// same name, with the same options and secrets. later is a command with what the client sent; its other fields are ignored.
func Repeats(earlier *conversionv1.Claim, later *conversionv1.ConvertRequested, secrets *conversionv1.Secrets, box *seal.Box) (bool, error) {
	if !proto.Equal(sent(earlier.GetCommand()), sent(later)) {
		return false, nil
	}
	sealed := earlier.GetSealedDigest()
	if len(sealed) == 0 || secrets == nil {
		return len(sealed) == 0 && secrets == nil, nil
	}
	id := earlier.GetCommand().GetJobId()
	known, err := box.Open(id, sealed)
	if err != nil {
		return false, fmt.Errorf("open the digest of the secrets of job %s: %w", id, err)
	}
	digest, err := digestOf(secrets)
	return subtle.ConstantTimeCompare(known, digest) == 1, err
}

// sent returns what the client has sent of a command: everything but the secrets and what the gateway adds.
func sent(command *conversionv1.ConvertRequested) *conversionv1.ConvertRequested {
	c := proto.CloneOf(command)
	c.JobId, c.SubmissionId, c.ClaimKey, c.RequestedAt, c.ExpiresAt, c.CacheDigest = "", "", "", nil, nil, nil
	if source := c.GetSource(); source != nil {
		// The format follows from the bytes, but a newer gateway may detect another one.
		source.ObjectKey, source.Format, source.ContentType = "", "", ""
	}
	if target := c.GetTarget(); target != nil {
		target.SealedSecrets = nil
		if proto.Size(target.GetOptions()) == 0 {
			target.Options = nil
		}
	}
	return c
}
