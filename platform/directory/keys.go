package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/docmill/docmill/contract/blob"
)

// pageOfNames is how many names Keys reads at a time.
const pageOfNames = 1024

// Keys returns the keys of all blobs, in no particular order. Blobs that are added or deleted meanwhile may be missing.
func (b *Bucket) Keys(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		listing, err := b.root.Open(".")
		if err != nil {
			yield("", fmt.Errorf("list the blobs: %w", err))
			return
		}
		defer listing.Close()
		for ctx.Err() == nil {
			entries, err := listing.ReadDir(pageOfNames)
			for _, entry := range entries {
				key := strings.ReplaceAll(entry.Name(), "+", "/")
				if !entry.Type().IsRegular() || blob.ValidateKey(key) != nil { // not a blob
					continue
				}
				if !yield(key, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield("", fmt.Errorf("list the blobs: %w", err))
				return
			}
		}
		yield("", ctx.Err())
	}
}
