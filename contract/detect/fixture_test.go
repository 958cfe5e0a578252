package detect

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/internal/officetest"
	"github.com/docmill/docmill/contract/officefile"
)

type (
	part    = officetest.Part
	stream  = officetest.Stream
	counter = officetest.Counter
)

const (
	plainManifest = officetest.PlainManifest
	relationships = officetest.Relationships
)

var (
	sample       = officetest.Sample
	zipOf        = officetest.Zip
	openXMLParts = officetest.OpenXMLParts
	packageOf    = officetest.Package
	openDocument = officetest.OpenDocument
	compoundOf   = officetest.Compound
	half         = officetest.Half
	mainTypeOf   = officetest.MainType
	randomBytes  = officetest.RandomBytes
	utf16LE      = officetest.UTF16LE
)

// examine detects a document, and holds the detection to its bounds.
func examine(tb testing.TB, data []byte, filename string) (Result, error) {
	tb.Helper()
	c := &counter{ReaderAt: bytes.NewReader(data)}
	r, units, err := DefaultLimits().detect(tb.Context(), c, int64(len(data)), filename)
	require.LessOrEqual(tb, c.Reads.Load(), int64(maxFetches))
	require.LessOrEqual(tb, c.Bytes.Load(), int64(maxFetches*officefile.BlockSize))
	require.LessOrEqual(tb, units, int64(maxUnits+maxUnits/10), "with the last charge")
	return r, err
}
