package survey

import "io"

// compound looks into a binary document.
func (f *finder) compound(r io.ReaderAt, size int64) {}
