package problem

import "net/http"

// Code names a problem for ever: clients may branch on it. Lower case, hyphens.
type Code string

// The problems of a request.
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
	JobNotFound          Code = "job-not-found"
	JobNotFinished       Code = "job-not-finished"
	JobFailed            Code = "job-failed"
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

// The problems of a document: they end a job, and some of them are known before a job exists.
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

// Entry is what the catalogue says of a code.
type Entry struct {
	// Status is the HTTP status of a response with this problem.
	Status int
	// Title says what kind of problem it is; the same words for every occurrence.
	Title string
	// Remedy says how to mend it.
	Remedy string
	// Retryable tells whether the same request, or the same document, may succeed later unchanged.
	Retryable bool
}

// Describe looks a code up. A code that the catalogue does not have is described as Internal.
func Describe(code Code) Entry {
	if entry, found := catalogue()[code]; found {
		return entry
	}
	return catalogue()[Internal]
}

// Codes lists every code of the catalogue with its entry.
func Codes() map[Code]Entry { return catalogue() }

func catalogue() map[Code]Entry {
	const (
		badRequest  = http.StatusBadRequest
		content     = http.StatusUnprocessableEntity
		unsupported = http.StatusUnsupportedMediaType
		unavailable = http.StatusServiceUnavailable
	)
	return map[Code]Entry{
		FileEmpty:            {badRequest, "The file is empty", "Send a file with at least one byte.", false},
		FileMissing:          {badRequest, "There is no file", "Send the document as the form part \"file\", or as the request's body with a Content-Disposition header that names it.", false},
		FileRepeated:         {badRequest, "There is more than one file", "Send one document with each request.", false},
		FileTooLarge:         {http.StatusRequestEntityTooLarge, "The file is too large", "Send a smaller file, or ask the operator to raise max-upload-size.", false},
		FileNameInvalid:      {badRequest, "The file's name cannot be used", "Send a name of 1 to 255 bytes of UTF-8 without control characters.", false},
		FileUnrecognized:     {unsupported, "The file's type is not recognised", "Send a document in one of the formats that GET /v1/formats lists.", false},
		FileTypeContradicted: {unsupported, "The file's name and content contradict each other", "Give the file the extension of what it really is.", false},
		FormatUnsupported:    {unsupported, "This conversion is not offered", "GET /v1/formats lists what can be converted into what.", false},
		OptionInvalid:        {badRequest, "An option is not valid", "Correct the options that errors[] names.", false},
		FormInvalid:          {badRequest, "The form cannot be read", "Send multipart/form-data as RFC 7578 has it, options first and the part \"file\" last.", false},
		UploadInterrupted:    {badRequest, "The upload ended early", "Send the document again.", true},
		UploadTooSlow:        {http.StatusRequestTimeout, "The upload stood still", "Send the document again over a connection that keeps moving.", true},
		HeaderInvalid:        {badRequest, "A header is not valid", "Correct the headers that errors[] names.", false},
		JobNotFound:          {http.StatusNotFound, "There is no such job", "Check the id; it stands in the answer to the submission.", false},
		JobNotFinished:       {http.StatusConflict, "The job is not finished", "Poll the job until its status is succeeded, then ask for the result.", true},
		JobFailed:            {http.StatusConflict, "The job has no result", "Read the job's error for the reason.", false},
		RangeInvalid:         {http.StatusRequestedRangeNotSatisfiable, "The file has no such part", "Ask for a range within the size that Content-Range tells.", false},
		PreconditionFailed:   {http.StatusPreconditionFailed, "The file is another one than expected", "Ask again without If-Match and If-Unmodified-Since.", false},
		RouteNotFound:        {http.StatusNotFound, "There is nothing at this address", "The API begins at /v1/jobs and /v1/formats.", false},
		MethodNotAllowed:     {http.StatusMethodNotAllowed, "This method is not allowed here", "Use one of the methods in the Allow header.", false},
		Busy:                 {unavailable, "Too many uploads at once", "Try again after the time in Retry-After.", true},
		QueueUnavailable:     {unavailable, "Jobs cannot be accepted now", "Try again after the time in Retry-After; nothing of this request was kept.", true},
		QueueUnconfirmed:     {unavailable, "The job may or may not have been accepted", "Try again after the time in Retry-After; the document may then be converted twice.", true},
		StoreUnavailable:     {unavailable, "Files cannot be reached now", "Try again after the time in Retry-After.", true},
		StatusUnavailable:    {unavailable, "Job states cannot be read now", "Try again after the time in Retry-After; accepted jobs go on meanwhile.", true},
		Internal:             {http.StatusInternalServerError, "Something failed on our side", "Try again; if it stays, report the trace id.", true},

		PasswordRequired:   {content, "The document needs a password", "Submit the document again with its password in the form field \"password\".", false},
		PasswordWrong:      {content, "The password does not open the document", "Submit the document again with the right password.", false},
		DocumentMalformed:  {content, "The document is damaged", "Open and save it again in the program that made it, then submit the new file.", false},
		DocumentEmpty:      {content, "The document has nothing to print", "Make sure that at least one page or slide is visible.", false},
		PagesNotFound:      {content, "The document has none of the wanted pages", "Ask for pages that the document has, or leave the option pages out.", false},
		DocumentTooComplex: {content, "The document costs too much to convert", "Make it smaller: fewer or smaller pictures, sheets or pages.", false},
		ConversionTimeout:  {content, "The conversion took too long", "Make the document simpler, or ask the operator to raise conversion-timeout.", false},
		EngineCrashed:      {content, "The document crashes the converter", "Open and save it again in the program that made it, then submit the new file.", false},
		SourceMissing:      {content, "The uploaded file is gone", "Submit the document again.", false},
		AttemptsExhausted:  {content, "The conversion was tried too often", "Submit the document again later.", true},
		Canceled:           {content, "The job was canceled", "Submit the document again if you still need it.", false},
	}
}
