package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/blob"
)

const (
	// pageOfKeys is how many keys List holds at a time. A directory has no order, so each page needs a look at all names:
	// 16,384 keys of 73 bytes take about 3 MB, and 1,000,000 blobs need 62 looks.
	pageOfKeys = 16 << 10
	// pageOfNames is how many names are read at a time.
	pageOfNames = 1024
)

// List implements blob.Bucket.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[blob.Entry, error] {
	return func(yield func(blob.Entry, error) bool) {
		for {
			keys, err := b.page(ctx, prefix, after, pageOfKeys)
			if err != nil {
				yield(blob.Entry{}, fmt.Errorf("list the blobs: %w", err))
				return
			}
			for _, key := range keys {
				entry, err := b.entry(ctx, key)
				if errors.Is(err, blob.ErrNotFound) {
					continue // deleted meanwhile
				}
				if !yield(entry, err) || err != nil {
					return
				}
			}
			if len(keys) < pageOfKeys {
				return
			}
			after = keys[len(keys)-1]
		}
	}
}

// page returns the first keys of those that List returns, at most so many.
func (b *Bucket) page(ctx context.Context, prefix, after string, most int) ([]string, error) {
	var keys []string
	for name, err := range b.names(ctx, ".") {
		if err != nil {
			return nil, err
		}
		key := keyOf(name)
		if key <= after || !strings.HasPrefix(key, prefix) || blob.ValidateKey(key) != nil {
			continue
		}
		keys = append(keys, key)
		if len(keys) == 2*most {
			slices.Sort(keys)
			keys = keys[:most]
		}
	}
	slices.Sort(keys)
	return keys[:min(len(keys), most)], nil
}

// entry describes a blob, or returns blob.ErrNotFound.
func (b *Bucket) entry(ctx context.Context, key string) (blob.Entry, error) {
	if err := ctx.Err(); err != nil {
		return blob.Entry{}, fmt.Errorf("list the blobs: %w", err)
	}
	name, err := filename(key)
	if err != nil {
		return blob.Entry{}, err
	}
	info, err := b.root.Lstat(name)
	if err != nil {
		return blob.Entry{}, fmt.Errorf("list the blobs: %w", translate(err))
	}
	return blob.Entry{Key: key, Size: info.Size(), ModifiedAt: info.ModTime()}, nil
}

// Foreign returns the paths of what is in the bucket's directory and is neither a blob nor Docmill's: directories, links, and files whose
// name is not a key. List does not return it, and nothing deletes it.
func (b *Bucket) Foreign(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for entry, err := range b.entries(ctx, ".") {
			if err != nil {
				yield("", fmt.Errorf("list the blobs: %w", err))
				return
			}
			name := entry.Name()
			isBlob := entry.Type().IsRegular() && blob.ValidateKey(keyOf(name)) == nil
			if name != incoming && !isBlob && !yield(filepath.Join(b.root.Name(), name), nil) {
				return
			}
		}
	}
}

// keyOf returns the key that a file is named after.
func keyOf(name string) string { return strings.ReplaceAll(name, "+", "/") }

// names returns the names of the regular files in a directory, in no particular order.
func (b *Bucket) names(ctx context.Context, directory string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for entry, err := range b.entries(ctx, directory) {
			if err != nil {
				yield("", err)
				return
			}
			if entry.Type().IsRegular() && !yield(entry.Name(), nil) {
				return
			}
		}
	}
}

// entries returns what is in a directory, in no particular order.
func (b *Bucket) entries(ctx context.Context, directory string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		listing, err := b.root.Open(directory)
		if err != nil {
			yield(nil, err)
			return
		}
		defer listing.Close()
		for ctx.Err() == nil {
			entries, err := listing.ReadDir(pageOfNames)
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
		yield(nil, ctx.Err())
	}
}

// DeleteUnfinished implements blob.Bucket. The age of an unfinished file is the time since its last write.
func (b *Bucket) DeleteUnfinished(ctx context.Context, olderThan time.Duration) (int, error) {
	written := time.Now().Add(-olderThan)
	deleted := 0
	for name, err := range b.names(ctx, incoming) {
		if err == nil {
			var old bool
			if old, err = b.removeIfOld(incoming+"/"+name, written); old {
				deleted++
			}
		}
		if err != nil {
			return deleted, fmt.Errorf("delete unfinished files: %w", err)
		}
	}
	return deleted, nil
}

// removeIfOld removes a file that was last written then or before, and reports whether it did.
func (b *Bucket) removeIfOld(name string, written time.Time) (bool, error) {
	info, err := b.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || info.ModTime().After(written) {
		return false, err
	}
	err = b.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
