package libreoffice

import (
	"slices"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
)

// Formats returns the formats that LibreOffice can read: those of format.All whose filters are installed.
func (e *Engine) Formats() []format.Format { return slices.Clone(e.formats) }

// readFormats returns the formats that LibreOffice can read. If its list of filters is not found, it returns all of
// them: then only documents without a filter fail, instead of all documents.
func readFormats(program string, log *zap.Logger) []format.Format {
	all := slices.Collect(format.All())
	formats, err := installedFormats(program)
	if err != nil {
		log.Warn("cannot list LibreOffice's filters; announcing all formats", zap.Error(err))
		return all
	}
	var missing []string
	for _, f := range all {
		if !slices.Contains(formats, f) {
			missing = append(missing, f.ID)
		}
	}
	if len(missing) > 0 {
		log.Warn("LibreOffice lacks filters; not announcing these formats", zap.Strings("formats", missing))
	}
	return formats
}

// checkFilter refuses a document that LibreOffice has no filter for. Without one it would open a text as plain text.
func (e *Engine) checkFilter(source format.Format) error {
	if slices.ContainsFunc(e.formats, func(f format.Format) bool { return f.ID == source.ID }) {
		return nil
	}
	return problem.New(problem.FormatUnsupported, "The converter's LibreOffice has no filter for this format: %s.", source.Title)
}
