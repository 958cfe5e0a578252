package detect

// Limits bound what a document may contain. A document that exceeds them is refused as [TooComplex] without being
// opened: LibreOffice would spend minutes and gigabytes on it, and its conversion would be stopped for that anyway. The
// limits are far above real documents, because refusing a good document is worse than stopping a hostile one later.
// Zero means no limit.
type Limits struct {
	// Entries is the maximum number of files in a package, including those of the packages in it. A deck of 1000
	// slides has 2015, one of 180 slides with images 710. (A directory of more than 2.5 MiB, about 30,000 entries, is
	// refused in any case.)
	Entries int
	// Growth is the maximum number of bytes by which all files of a package may grow when they are unpacked. A report
	// of 872 pages grows by 5 MiB; a workbook of a million rows and twenty columns by 1 GiB, and LibreOffice needs
	// five times that.
	Growth int64
	// Packed is the maximum number of unpacked bytes of files that are packed better than Ratio to one. Images are not
	// counted here: a white bitmap is packed a thousand to one.
	Packed int64
	// Ratio is a compression ratio that no file of a real document reaches. XML reaches 10 or 20 to one, at most 60 (a
	// deck of 100 slides of equal tables); deflate cannot exceed 1032.
	Ratio int64
	// Depth is the maximum nesting of packages in packages. A workbook in a presentation in a text is 2.
	Depth int
	// Pixels is the maximum number of pixels of an image. LibreOffice 7.4 and 25.2 open 340 million (in 13 s and
	// 1.2 GiB), but not 400 million: their limit is 1 GiB at 3 bytes each.
	Pixels int64
	// Entity is the maximum number of bytes that an entity declared by the document may expand to. Adobe Illustrator
	// declares the names of XML namespaces, which are below 100 bytes. LibreOffice 7.4 did not finish an SVG image of
	// 600 bytes whose entities expand to 12 GB.
	Entity int
}

// DefaultLimits returns the limits of [Detect].
func DefaultLimits() Limits {
	return Limits{
		Entries: 20_000,
		Growth:  2 << 30,
		Packed:  64 << 20,
		Ratio:   200,
		Depth:   4,
		Pixels:  350_000_000,
		Entity:  4 << 10,
	}
}
