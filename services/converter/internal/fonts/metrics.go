package fonts

import fontset "github.com/docmill/docmill/fonts"

// otherWidths is the key of a family that is in the table for Cambria, although its version 20200211, which Debian has, differs
// from Cambria in 54 of 90 characters.
const otherWidths = "caladea"

// SameMetrics reports whether a substitute has the widths and the line height of a family, so that lines break where they
// would with it.
func SameMetrics(family, substitute string) bool {
	wanted, found := fontset.Lookup(family)
	if !found || !wanted.Metric {
		return false
	}
	if Key(wanted.StandIn) == Key(substitute) {
		return true
	}
	used, found := fontset.Lookup(substitute)
	return found && used.Wanted() == wanted.Wanted() && Key(substitute) != otherWidths
}
