package fleet

import (
	"slices"
	"sync"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// announcedTargets returns the targets that a converter announces, by source format.
func announcedTargets(announcement *conversionv1.ConverterAnnounced) map[string][]string {
	targets := map[string][]string{}
	for _, capability := range announcement.GetCapabilities() {
		targets[capability.GetSourceFormat()] = capability.GetTargetFormats()
	}
	if len(targets) > 0 {
		return targets
	}
	for _, id := range announcement.GetSourceFormats() {
		if f, known := format.ByID(id); known {
			targets[id] = unannouncedTargets[f.Family]
		}
	}
	return targets
}

// unannouncedTargets are the targets, by family, of converters that announce only source formats: those of the last
// release without ConverterAnnounced.capabilities. The list is frozen. A target that is added to the table after that
// release must not be added here: while such a converter is running, jobs for the new target would reach it and fail
// permanently.
//
// It can be removed when no converter of that release can be part of a rolling update any more.
var unannouncedTargets = map[format.Family][]string{
	format.Presentation: {"pdf", "pptx", "ppt", "odp", "png", "jpeg", "webp", "svg", "thumbnail"},
	format.Text:         {"pdf", "docx", "doc", "odt", "rtf", "txt", "html", "png", "jpeg", "webp", "svg", "thumbnail"},
	format.Spreadsheet:  {"pdf", "xlsx", "ods", "csv", "png", "jpeg", "webp", "svg", "thumbnail"},
	format.Drawing:      {"pdf", "odg", "png", "jpeg", "webp", "svg", "thumbnail"},
}

// announcedOptions returns the options that a converter announces, with their values, or nil for an option without a
// fixed set of values.
func announcedOptions(announcement *conversionv1.ConverterAnnounced) map[string][]string {
	if announcement.GetContractVersion() < LeavesToOthers {
		return unannouncedOptions
	}
	options := make(map[string][]string, len(announcement.GetOptions()))
	for _, known := range announcement.GetOptions() {
		options[known.GetName()] = known.GetValues()
	}
	return options
}

// unannouncedOptions are the options of converters that do not announce them: those of the last release without
// ConverterAnnounced.options. Like unannouncedTargets, the list is frozen: such a converter would ignore a newer option.
var unannouncedOptions = map[string][]string{
	"locale": nil, "pages": nil, "update_indexes": nil,
	"pdf_a": {"1b", "2b", "3b"}, "pdf_ua": nil, "tagged": nil, "bookmarks": nil, "form_fields": nil,
	"comments": {"none", "annotations"}, "watermark": nil,
	"initial_page": nil, "initial_view": {"page", "outline", "thumbnails"},
	"image_quality": nil, "image_lossless": nil, "image_dpi": nil,
	"allow_printing": {"none", "low", "full"}, "allow_changes": {"none", "pages", "forms", "comments", "all"}, "allow_copying": nil,
	"notes": {"none", "with", "only"}, "hidden_slides": nil,
	"single_page_sheets": nil, "paper": {"a3", "a4", "a5", "letter", "legal", "tabloid"},
	"orientation": {"portrait", "landscape"}, "fit_width": nil,
	"width": nil, "dpi": nil,
	"password": nil, "user_password": nil, "owner_password": nil,
}

// Options returns the options of this release as a converter announces them.
func Options() []*conversionv1.KnownOption {
	var known []*conversionv1.KnownOption
	for _, o := range option.All() {
		known = append(known, &conversionv1.KnownOption{Name: string(o.Name), Values: o.Allowed})
	}
	return known
}

// ownOptions are the options of this release: their values, by name.
var ownOptions = sync.OnceValue(func() map[string][]string {
	own := map[string][]string{}
	for _, o := range option.All() {
		own[string(o.Name)] = o.Allowed
	}
	return own
})

// exceeds reports whether options has an option, or a value of an option, that own does not have.
func exceeds(options, own map[string][]string) bool {
	for name, values := range options {
		known, found := own[name]
		if !found || slices.ContainsFunc(values, func(value string) bool { return !slices.Contains(known, value) }) {
			return true
		}
	}
	return false
}
