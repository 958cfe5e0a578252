package libreoffice

import (
	"slices"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/document"
	"github.com/docmill/docmill/contract/problem"
)

// Formats returns what LibreOffice can read: those of document.Formats whose filters are installed.
func (e *Engine) Formats() []document.Format { return slices.Clone(e.formats) }

// readFormats returns the formats that LibreOffice can read. If its list of filters is not found, it is assumed to read all
// of them: then only documents without a filter fail, instead of all.
func readFormats(program string, log *zap.Logger) []document.Format {
	all := document.Formats()
	formats, err := installedFormats(program)
	if err != nil {
		log.Warn("cannot list LibreOffice's filters; announcing all formats", zap.Error(err))
		return all
	}
	var missing []string
	for _, format := range all {
		if !slices.Contains(formats, format) {
			missing = append(missing, format.ID)
		}
	}
	if len(missing) > 0 {
		log.Warn("LibreOffice lacks filters; not announcing these formats", zap.Strings("formats", missing))
	}
	return formats
}

// checkFilter refuses a document that LibreOffice has no filter for. Without one it would open a text as plain text.
func (e *Engine) checkFilter(format document.Format) error {
	if slices.ContainsFunc(e.formats, func(f document.Format) bool { return f.ID == format.ID }) {
		return nil
	}
	return problem.New(problem.FormatUnsupported, "The converter's LibreOffice has no filter for this format: %s.", format.Title)
}
