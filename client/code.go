package client

// Code identifies a kind of problem, or of warning. A code never changes its meaning. A newer Docmill may send codes that
// are not listed here.
type Code string

// Codes of requests that failed.
const (
	CodeFileEmpty            Code = "file-empty"
	CodeFileMissing          Code = "file-missing"
	CodeFileRepeated         Code = "file-repeated"
	CodeFileTooLarge         Code = "file-too-large"
	CodeFileNameInvalid      Code = "file-name-invalid"
	CodeFileUnrecognized     Code = "file-unrecognized"
	CodeFileTypeContradicted Code = "file-type-contradicted"
	CodeOptionInvalid        Code = "option-invalid"
	CodeFormInvalid          Code = "form-invalid"
	CodeUploadInterrupted    Code = "upload-interrupted"
	CodeUploadTooSlow        Code = "upload-too-slow"
	CodeHeaderInvalid        Code = "header-invalid"
	CodeParameterInvalid     Code = "parameter-invalid"
	CodeIdempotencyKeyReused Code = "idempotency-key-reused"
	CodeJobNotFound          Code = "job-not-found"
	CodeJobNotFinished       Code = "job-not-finished"
	CodeJobNotCancelable     Code = "job-not-cancelable"
	CodeJobNotRetryable      Code = "job-not-retryable"
	CodeJobDeleted           Code = "job-deleted"
	CodeJobExpired           Code = "job-expired"
	CodeJobFailed            Code = "job-failed"
	CodeResultsMissing       Code = "results-missing"
	CodeListingDisabled      Code = "listing-disabled"
	CodeRangeInvalid         Code = "range-invalid"
	CodePreconditionFailed   Code = "precondition-failed"
	CodeRouteNotFound        Code = "route-not-found"
	CodeMethodNotAllowed     Code = "method-not-allowed"
	CodeBusy                 Code = "busy"
	CodeQueueUnavailable     Code = "queue-unavailable"
	CodeQueueUnconfirmed     Code = "queue-unconfirmed"
	CodeStoreUnavailable     Code = "store-unavailable"
	CodeStatusUnavailable    Code = "status-unavailable"
	CodeInternal             Code = "internal"
)

// Codes of jobs that failed. Some are found before a job exists: then they are codes of requests.
const (
	CodePasswordRequired   Code = "password-required"
	CodePasswordWrong      Code = "password-wrong"
	CodeDocumentMalformed  Code = "document-malformed"
	CodeDocumentEmpty      Code = "document-empty"
	CodePagesNotFound      Code = "pages-not-found"
	CodeDocumentTooComplex Code = "document-too-complex"
	CodeFormatUnsupported  Code = "format-unsupported"
	CodeConversionTimeout  Code = "conversion-timeout"
	CodeEngineCrashed      Code = "engine-crashed"
	CodeSourceMissing      Code = "source-missing"
	CodeAttemptsExhausted  Code = "attempts-exhausted"
	CodeCanceled           Code = "canceled"
)

// Codes of warnings.
const (
	CodeFontReplaced    Code = "font-replaced"
	CodeFontSubstituted Code = "font-substituted"
	CodeGlyphsMissing   Code = "glyphs-missing"
	CodeLinksBlocked    Code = "links-blocked"
	CodeMacrosBlocked   Code = "macros-blocked"
	CodeSlidesHidden    Code = "slides-hidden"
)
