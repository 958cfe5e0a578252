package problem

import (
	"maps"
	"net/http"
)

// Code identifies a kind of problem permanently: clients may branch on it. It is lower case with hyphens.
type Code string

// Problems of a request.
const (
	FileEmpty            Code = "file-empty"
	FileMissing          Code = "file-missing"
	FileRepeated         Code = "file-repeated"
	FileTooLarge         Code = "file-too-large"
	FileNameInvalid      Code = "file-name-invalid"
	FileUnrecognized     Code = "file-unrecognized"
	FileTypeContradicted Code = "file-type-contradicted"
	OptionInvalid        Code = "option-invalid"
	FormInvalid          Code = "form-invalid"
	UploadInterrupted    Code = "upload-interrupted"
	UploadTooSlow        Code = "upload-too-slow"
	HeaderInvalid        Code = "header-invalid"
	ParameterInvalid     Code = "parameter-invalid"
	IdempotencyKeyReused Code = "idempotency-key-reused"
	JobNotFound          Code = "job-not-found"
	JobNotFinished       Code = "job-not-finished"
	JobFailed            Code = "job-failed"
	JobNotCancelable     Code = "job-not-cancelable"
	JobNotRetryable      Code = "job-not-retryable"
	JobDeleted           Code = "job-deleted"
	JobExpired           Code = "job-expired"
	ResultsMissing       Code = "results-missing"
	ListingDisabled      Code = "listing-disabled"
	RangeInvalid         Code = "range-invalid"
	PreconditionFailed   Code = "precondition-failed"
	RouteNotFound        Code = "route-not-found"
	MethodNotAllowed     Code = "method-not-allowed"
	Busy                 Code = "busy"
	QueueUnavailable     Code = "queue-unavailable"
	QueueUnconfirmed     Code = "queue-unconfirmed"
	StoreUnavailable     Code = "store-unavailable"
	StatusUnavailable    Code = "status-unavailable"
	Internal             Code = "internal"
)

// Problems of a document. They end a job; some of them are found before a job exists.
const (
	PasswordRequired   Code = "password-required"
	PasswordWrong      Code = "password-wrong"
	DocumentMalformed  Code = "document-malformed"
	DocumentEmpty      Code = "document-empty"
	PagesNotFound      Code = "pages-not-found"
	DocumentTooComplex Code = "document-too-complex"
	FormatUnsupported  Code = "format-unsupported"
	ConversionTimeout  Code = "conversion-timeout"
	EngineCrashed      Code = "engine-crashed"
	SourceMissing      Code = "source-missing"
	AttemptsExhausted  Code = "attempts-exhausted"
	Canceled           Code = "canceled"
)

// Entry describes a code.
type Entry struct {
	// Status is the HTTP status of a response with this problem.
	Status int
	// Title names the kind of problem. It is the same for every occurrence.
	Title string
	// Remedy says how to solve the problem.
	Remedy string
	// Retryable reports whether the same request, or the same document, may succeed later without changes.
	Retryable bool
}

// Describe returns the entry of a code. A code that is not in the catalog is described as Internal.
func Describe(code Code) Entry {
	if entry, found := catalog[code]; found {
		return entry
	}
	return catalog[Internal]
}

// Remedy returns the remedy of a code, or "" for a code that is not in the catalog, such as one of a newer version.
func Remedy(code Code) string { return catalog[code].Remedy }

// Known reports whether a code is in the catalog. One of a newer version is not.
func Known(code Code) bool {
	_, found := catalog[code]
	return found
}

// Codes returns a copy of the catalog.
func Codes() map[Code]Entry { return maps.Clone(catalog) }

const (
	badRequest  = http.StatusBadRequest
	content     = http.StatusUnprocessableEntity
	unsupported = http.StatusUnsupportedMediaType
	unavailable = http.StatusServiceUnavailable
)

// catalog is never changed.
var catalog = map[Code]Entry{
	FileEmpty: {badRequest, "The file is empty", "Send a file of at least one byte.", false},
	FileMissing: {
		badRequest, "The request contains no file",
		"Send the document as the form field \"file\", or as the request body with a Content-Disposition header that contains its name.", false,
	},
	FileRepeated: {badRequest, "The request contains more than one file", "Send one document per request.", false},
	FileTooLarge: {
		http.StatusRequestEntityTooLarge, "The file is too large", "Send a smaller file, or ask the operator to raise max-upload-size.", false,
	},
	FileNameInvalid:      {badRequest, "The file name is invalid", "Use a name of 1 to 255 bytes of UTF-8 without control characters.", false},
	FileUnrecognized:     {unsupported, "The file type is not recognized", "Send a document in one of the formats listed by GET /v1/formats.", false},
	FileTypeContradicted: {unsupported, "The file extension does not match the content", "Give the file the extension of its actual format, or send the right file.", false},
	FormatUnsupported:    {unsupported, "The conversion is not supported", "See GET /v1/formats for the supported conversions.", false},
	OptionInvalid:        {badRequest, "An option is invalid", "Correct the options listed in errors[].", false},
	FormInvalid:          {badRequest, "The form cannot be parsed", "Send multipart/form-data (RFC 7578), options first and the field \"file\" last.", false},
	UploadInterrupted:    {badRequest, "The upload ended early", "Send the document again.", true},
	UploadTooSlow:        {http.StatusRequestTimeout, "The upload was too slow", "Retry over a faster or more reliable connection.", true},
	HeaderInvalid:        {badRequest, "A header is invalid", "Correct the headers listed in errors[].", false},
	ParameterInvalid:     {badRequest, "A query parameter is invalid", "Correct the parameters listed in errors[].", false},
	IdempotencyKeyReused: {content, "The idempotency key belongs to another submission", "Use a new key for a different document or different options. To repeat a submission, send it unchanged.", false},
	JobNotFound:          {http.StatusNotFound, "The job does not exist", "Check the id; the response to the submission contains it.", false},
	JobNotFinished:       {http.StatusConflict, "The job is not finished", "Poll the job until it has ended, then repeat the request.", true},
	JobFailed:            {http.StatusConflict, "The job has no result", "See the job's status, and its error if it has failed, for the reason.", false},
	JobNotCancelable:     {http.StatusConflict, "The job has ended", "Nothing needs to be canceled. Delete the job if you no longer need its files.", false},
	JobNotRetryable:      {http.StatusConflict, "The job cannot be retried", "Submit the document again.", false},
	JobDeleted:           {http.StatusGone, "The job was deleted", "Submit the document again if you still need it.", false},
	JobExpired:           {http.StatusGone, "The job has expired", "Submit the document again. Fetch results before expires_at.", false},
	ResultsMissing:       {http.StatusConflict, "Some of the jobs have no result", "Omit the jobs listed in errors[], or wait until they have succeeded.", false},
	ListingDisabled:      {http.StatusForbidden, "Jobs cannot be listed", "Query each job by its id, or ask the operator to set allow-listing.", false},
	RangeInvalid:         {http.StatusRequestedRangeNotSatisfiable, "The requested range is outside the file", "Request a range within the size given in Content-Range.", false},
	PreconditionFailed:   {http.StatusPreconditionFailed, "The result does not match If-Match", "Request it again without If-Match and If-Unmodified-Since.", false},
	RouteNotFound:        {http.StatusNotFound, "The path does not exist", "See /docs for the paths of the API.", false},
	MethodNotAllowed:     {http.StatusMethodNotAllowed, "The method is not allowed for this path", "Use one of the methods listed in the Allow header.", false},
	Busy:                 {unavailable, "Too many requests of this kind at once", "Retry after the time given in Retry-After.", true},
	QueueUnavailable:     {unavailable, "Jobs cannot be accepted at the moment", "Retry after the time given in Retry-After; nothing was stored.", true},
	QueueUnconfirmed:     {unavailable, "The job may or may not have been accepted", "With an Idempotency-Key, repeat the submission after the time given in Retry-After. Otherwise poll the job given in Location; if it does not exist, submit the document again; it may then be converted twice.", true},
	StoreUnavailable:     {unavailable, "The file storage is not available", "Retry after the time given in Retry-After.", true},
	StatusUnavailable:    {unavailable, "Job states are not available", "Retry after the time given in Retry-After; accepted jobs continue meanwhile.", true},
	Internal:             {http.StatusInternalServerError, "Internal error", "Retry; if the error persists, report the trace id.", true},

	PasswordRequired:   {content, "The document requires a password", "Submit the document again with its password in the form field \"password\".", false},
	PasswordWrong:      {content, "The password is wrong", "Submit the document again with the correct password.", false},
	DocumentMalformed:  {content, "The document is damaged", "Open the document in the program that created it, save it again and submit the new file.", false},
	DocumentEmpty:      {content, "The document has no pages to convert", "Make sure that at least one page or slide is visible.", false},
	PagesNotFound:      {content, "The document does not have the requested pages", "Request pages that exist, or omit the option pages.", false},
	DocumentTooComplex: {content, "The document is too complex to convert", "Reduce it: fewer or smaller images, sheets or pages.", false},
	ConversionTimeout:  {content, "The conversion timed out", "Simplify the document, or ask the operator to raise conversion-timeout.", false},
	EngineCrashed:      {content, "The document crashes the converter", "Open the document in the program that created it, save it again and submit the new file.", false},
	SourceMissing:      {content, "The uploaded file no longer exists", "Submit the document again.", false},
	AttemptsExhausted:  {content, "The conversion failed too many times", "Submit the document again later.", true},
	Canceled:           {content, "The job was canceled", "Submit the document again if you still need it.", false},
}
