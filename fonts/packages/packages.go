// Package packages lists the packages of fonts that documents need besides those of the font set.
package packages

// Package is a package of fonts. Its files have the same names in all distributions.
type Package struct {
	// Name is that of Debian's package.
	Name string
	// Files are patterns of the files that are used, as for [path.Match]. Other files of the package have further weights, which
	// would make a difference between machines.
	Files []string
	// Families are those that documents need most.
	Families []Family
}

// Family is a family of fonts, and the fonts that it replaces.
type Family struct{ Name, Instead string }

// Relied returns the packages that the font set relies on.
func Relied() []Package {
	return []Package{
		{
			Name:     "fonts-liberation",
			Files:    []string{"LiberationSans-*", "LiberationSerif-*", "LiberationMono-*"},
			Families: []Family{{"Liberation Sans", "Arial"}, {"Liberation Serif", "Times New Roman"}, {"Liberation Mono", "Courier New"}},
		},
		{
			Name:     "fonts-dejavu",
			Files:    []string{"DejaVuSans.ttf", "DejaVuSans-*", "DejaVuSerif.ttf", "DejaVuSerif-*", "DejaVuSansMono.ttf", "DejaVuSansMono-*"},
			Families: []Family{{"DejaVu Sans", "many symbols"}},
		},
		{
			Name:     "fonts-noto-cjk",
			Files:    []string{"NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc", "NotoSerifCJK-Regular.ttc", "NotoSerifCJK-Bold.ttc"},
			Families: []Family{{"Noto Sans CJK JP", "Chinese, Japanese and Korean fonts"}},
		},
		{
			Name:     "fonts-unfonts-core",
			Files:    []string{"UnDotum.ttf", "UnDotumBold.ttf", "UnBatang.ttf", "UnBatangBold.ttf"},
			Families: []Family{{"UnDotum", "Gulim and Dotum"}, {"UnBatang", "Batang"}},
		},
		{
			Name:     "fonts-horai-umefont",
			Files:    []string{"ume-tgo4.ttf", "ume-pgo4.ttf", "ume-tmo3.ttf", "ume-pmo3.ttf"},
			Families: []Family{{"Ume Gothic", "MS Gothic"}, {"Ume Mincho", "MS Mincho"}},
		},
	}
}

// System returns the packages that documents also need where the font set is not in use. They must not be used together with it:
// LibreOffice prefers Carlito and Caladea to what fontconfig says (VCL.xcu), but Carlito has ligatures that Office does not
// draw, and 54 of 90 characters of Debian's Caladea have other widths than Cambria's.
func System() []Package {
	return []Package{
		{Name: "fonts-crosextra-carlito", Files: []string{"Carlito-*"}, Families: []Family{{"Carlito", "Calibri"}}},
		{Name: "fonts-crosextra-caladea", Files: []string{"Caladea-*"}, Families: []Family{{"Caladea", "Cambria"}}},
	}
}
