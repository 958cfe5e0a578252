package libreoffice

import (
	"slices"

	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/installation"
)

// Formats lists what the LibreOffice that was found can read: those formats whose filters are installed.
func (e *Engine) Formats() []format.Format { return slices.Clone(e.formats) }

// readFormats lists them. A LibreOffice that keeps its list of filters elsewhere is taken to read everything: its documents
// fail one by one, rather than all.
func readFormats(program string, log *zap.Logger) []format.Format {
	all := slices.Collect(format.All())
	formats, err := installation.Formats(program)
	if err != nil {
		log.Warn("it is not known which filters LibreOffice has; all are offered", zap.Error(err))
		return all
	}
	var missing []string
	for _, format := range all {
		if !slices.Contains(formats, format) {
			missing = append(missing, format.ID)
		}
	}
	if len(missing) > 0 {
		log.Warn("LibreOffice lacks filters; these formats are not offered", zap.Strings("formats", missing))
	}
	return formats
}

// readable refuses a document that this LibreOffice has no filter for. Without one it would take a text for plain text.
func (e *Engine) readable(wanted format.Format) error {
	if slices.ContainsFunc(e.formats, func(f format.Format) bool { return f.ID == wanted.ID }) {
		return nil
	}
	return problem.New(problem.FormatUnsupported, "The converter's LibreOffice has no filter for this format: %s.", wanted.Title)
}
