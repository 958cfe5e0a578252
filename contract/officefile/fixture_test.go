package officefile

import "github.com/docmill/docmill/contract/internal/officetest"

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
	packageOf    = officetest.Package
	openDocument = officetest.OpenDocument
	compoundOf   = officetest.Compound
	half         = officetest.Half
	deck         = officetest.Deck
	randomBytes  = officetest.RandomBytes
	utf16LE      = officetest.UTF16LE
)
