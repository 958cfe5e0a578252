package pdf

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// EncryptionOptions are the options that an Encrypter applies, EncryptionSecrets the secrets.
var (
	EncryptionOptions = []option.Name{option.AllowPrinting, option.AllowChanges, option.AllowCopying}
	EncryptionSecrets = []option.Name{option.UserPassword, option.OwnerPassword}
)

// WantsEncryption reports whether the client wants the PDF to be encrypted. Either argument may be nil.
func WantsEncryption(options *conversionv1.Options, secrets *conversionv1.Secrets) bool {
	return secrets.GetUserPassword() != "" || secrets.GetOwnerPassword() != "" ||
		options.GetAllowPrinting() != conversionv1.Printing_PRINTING_UNSPECIFIED ||
		options.GetAllowChanges() != conversionv1.Changes_CHANGES_UNSPECIFIED || options != nil && options.AllowCopying != nil
}

// Encrypter encrypts PDFs and restricts what may be done with them. It is safe for concurrent use.
//
// It runs qpdf, for AES with 256 bits (ISO 32000-2, 7.6). LibreOffice 7.4 would use RC4 with 128 bits, and its
// conversions are forks of one process, which share the state of its random generator: no key may come from there.
type Encrypter struct {
	tools  *Tools
	limits sandbox.Limits
}

// NewEncrypter returns an Encrypter that works within the limits of one conversion.
func NewEncrypter(tools *Tools, limits engine.Limits) *Encrypter {
	return &Encrypter{tools: tools, limits: limits.Sandbox()}
}

// EncryptRequest describes what to encrypt, and how.
type EncryptRequest struct {
	// Directory is used by this request alone. Its owner removes it.
	Directory string
	// PDF is the plain file. It is not changed.
	PDF string
	// Options are the permissions of those who do not know the owner password. Nil means all.
	Options *conversionv1.Options
	// Secrets contain the passwords. Without an owner password a random one is used and not kept.
	Secrets *conversionv1.Secrets
	// Spent is the part of the conversion's time limit that is used up.
	Spent time.Duration
}

// Encrypt returns the path of the encrypted PDF. A *problem.Error in the error's chain means that the document caused
// the failure.
func (e *Encrypter) Encrypt(ctx context.Context, request EncryptRequest) (string, error) {
	limits := e.limits
	if limits.Time -= request.Spent; limits.Time <= 0 {
		return "", engine.LimitExceeded(sandbox.ErrTime)
	}
	path := filepath.Join(request.Directory, "encrypted.pdf")
	job, err := jobFile(request, path)
	if err != nil {
		return "", err
	}
	defer job.Close()
	exit, err := e.tools.qpdf.Run(ctx, sandbox.Command{
		Args: []string{"--job-json-file=/dev/stdin"}, Dir: request.Directory, Limits: limits, Stdin: job,
		Access: sandbox.Tools().Read(request.PDF, "/proc/self/fd", "/dev/stdin").Write(request.Directory),
	})
	if err != nil {
		return "", fmt.Errorf("encrypt the PDF: %w", engine.LimitExceeded(err))
	}
	if err := e.tools.qpdf.Failure(exit, qpdfWarnings); err != nil {
		return "", problem.New(problem.DocumentMalformed, "The PDF could not be encrypted.").Because(err)
	}
	return path, nil
}

// job is a job of qpdf (its manual, "QPDFJob: a Job-Based Interface").
type job struct {
	InputFile  string     `json:"inputFile"`
	OutputFile string     `json:"outputFile"`
	Encrypt    encryption `json:"encrypt"`
}

type encryption struct {
	UserPassword  string      `json:"userPassword"`
	OwnerPassword string      `json:"ownerPassword"`
	AES256        permissions `json:"256bit"`
}

type permissions struct {
	Print   string `json:"print"`
	Modify  string `json:"modify"`
	Extract string `json:"extract"`
}

// jobFile writes qpdf's job into an anonymous file in memory: a password must not be in arguments, which every user of
// the machine can read, nor on a disk, where it could be found later.
func jobFile(request EncryptRequest, path string) (*os.File, error) {
	owner := request.Secrets.GetOwnerPassword()
	if owner == "" {
		owner = rand.Text() // 128 bits
	}
	content, err := json.Marshal(job{
		InputFile: request.PDF, OutputFile: path,
		Encrypt: encryption{UserPassword: request.Secrets.GetUserPassword(), OwnerPassword: owner, AES256: permitted(request.Options)},
	})
	if err != nil {
		return nil, fmt.Errorf("encode qpdf's job: %w", err)
	}
	defer clear(content)
	fd, err := unix.MemfdCreate("job", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "job")
	if _, err := file.Write(content); err != nil {
		return nil, errors.Join(fmt.Errorf("write qpdf's job: %w", err), file.Close())
	}
	return file, nil
}

// qpdf's words for the values of options. What is missing here is permitted.
var (
	printing = map[conversionv1.Printing]string{
		conversionv1.Printing_PRINTING_NONE: "none", conversionv1.Printing_PRINTING_LOW: "low",
	}
	changes = map[conversionv1.Changes]string{
		conversionv1.Changes_CHANGES_NONE: "none", conversionv1.Changes_CHANGES_PAGES: "assembly",
		conversionv1.Changes_CHANGES_FORMS: "form", conversionv1.Changes_CHANGES_COMMENTS: "annotate",
	}
)

func permitted(options *conversionv1.Options) permissions {
	p := permissions{Print: "full", Modify: "all", Extract: "y"}
	if limited := printing[options.GetAllowPrinting()]; limited != "" {
		p.Print = limited
	}
	if limited := changes[options.GetAllowChanges()]; limited != "" {
		p.Modify = limited
	}
	if options != nil && options.AllowCopying != nil && !options.GetAllowCopying() {
		p.Extract = "n"
	}
	return p
}
