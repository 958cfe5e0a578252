package libreoffice

import (
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
)

// LoadOptions are the options that apply when the document is opened, LoadSecrets the secrets.
var (
	LoadOptions = []option.Name{option.Locale, option.UpdateIndexes, option.Layout}
	LoadSecrets = []option.Name{option.Password}
)

// documentTypes are the kinds of documents that LibreOffice must detect, by the family of the format.
var documentTypes = map[format.Family]wire.Type{
	format.Text: wire.Text, format.Spreadsheet: wire.Spreadsheet,
	format.Presentation: wire.Presentation, format.Drawing: wire.Drawing,
}

func documentType(family format.Family) wire.Type {
	if kind, known := documentTypes[family]; known {
		return kind
	}
	return wire.AnyType
}

// loadCommand returns the command that LibreOffice runs on the open document first; "" if none.
func loadCommand(options *conversionv1.Options) string {
	if options.GetUpdateIndexes() {
		return ".uno:UpdateAllIndexes"
	}
	return ""
}

// warmUpOptions returns the options with which LibreOfficeKit loads a warm-up document: those of a document, a language,
// and no dialogs. The language stays in effect for the process and all children.
//
// The language is English without a country: with en-US, LibreOfficeKit's own choice, a document without a page size
// gets US Letter, where LibreOffice itself in the locale C.UTF-8 uses A4. Dates and numbers are written as in en-US
// with both.
//
// Batch=true suppresses dialogs for the whole process. Other documents are loaded without it, because LibreOffice 25.2
// would not ask for their passwords.
func warmUpOptions(source format.Import) string { return "Batch=true," + loadOptions(source, "en") }

// loadOptions returns the options with which LibreOfficeKit loads a document: no macros, a filter's options, and a
// language if it differs from that of the warm-up documents. To set the same language again took 7 % of the time of a
// short text.
//
// LibreOffice 7.4 takes everything besides Language and Batch for the filter's options (desktop/source/lib/init.cxx),
// and fails on a security level there. The formats that have such options are texts, which have no macros; nor do
// macros run anywhere unless EnableMacrosExecution=true is given here.
func loadOptions(source format.Import, locale string) string {
	var language string
	if locale != "" {
		language = "Language=" + locale + ","
	}
	if source.Options == "" {
		return language + "MacroSecurityLevel=3"
	}
	return language + source.Options
}
