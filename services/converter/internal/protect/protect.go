// Package protect encrypts PDFs and restricts what may be done with them.
//
// It leaves that to qpdf: AES with 256 bits (ISO 32000-2, 7.6). LibreOffice 7.4 would use RC4 with 128, and its conversions
// are forks of one process, which share the state of its random generator: no key may come from there.
package protect

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// Wanted tells whether the client asked for any protection of the PDF. Either may be nil.
func Wanted(options *conversionv1.Options, secrets *conversionv1.Secrets) bool {
	return secrets.GetUserPassword() != "" || secrets.GetOwnerPassword() != "" ||
		options.GetAllowPrinting() != conversionv1.Printing_PRINTING_UNSPECIFIED ||
		options.GetAllowChanges() != conversionv1.Changes_CHANGES_UNSPECIFIED || options != nil && options.AllowCopying != nil
}

// Protector protects PDFs. It is safe for concurrent use.
type Protector struct {
	qpdf   string
	limits sandbox.Limits
}

// New finds qpdf on the search path.
func New(limits engine.Config) (*Protector, error) {
	path, err := exec.LookPath("qpdf")
	if err != nil {
		return nil, fmt.Errorf("qpdf, which encrypts PDFs, is missing; install qpdf: %w", err)
	}
	return &Protector{qpdf: path, limits: sandbox.Limits{
		Time: limits.Timeout, Memory: int64(limits.Memory), Disk: int64(limits.Disk),
	}}, nil
}

// Request is what to protect, and how.
type Request struct {
	// Folder is one that only this request works in. Its owner removes it.
	Folder string
	// PDF is the plain file. It is left to its owner.
	PDF string
	// Options say what those may do who do not know the owner's password. Nil is everything.
	Options *conversionv1.Options
	// Secrets have the passwords. Without an owner's password a random one is used that nobody knows.
	Secrets *conversionv1.Secrets
	// Spent is how much of the time that a conversion may take is over.
	Spent time.Duration
}

// Protect gives the path of the protected PDF. A *problem.Error in the error's chain is the document's own fault.
func (p *Protector) Protect(ctx context.Context, request Request) (string, error) {
	limits := p.limits
	if limits.Time -= request.Spent; limits.Time <= 0 {
		return "", engine.Limited(sandbox.ErrTime)
	}
	path := filepath.Join(request.Folder, "protected.pdf")
	order, err := order(request, path)
	if err != nil {
		return "", err
	}
	defer order.Close()
	exit, err := sandbox.Run(ctx, sandbox.Command{
		Path: p.qpdf, Args: []string{"--job-json-file=/dev/stdin"}, Env: []string{"LANG=C.UTF-8"}, Dir: request.Folder,
		Limits: limits, Stdin: order,
		Reach: sandbox.Programs().Read(request.PDF, "/proc/self/fd", "/dev/stdin").Write(request.Folder),
	})
	if err != nil {
		return "", fmt.Errorf("encrypt the PDF: %w", engine.Limited(err))
	}
	const success, warnings = 0, 3
	if exit.Code != success && exit.Code != warnings {
		return "", problem.New(problem.DocumentMalformed, "The PDF could not be encrypted.").Because(
			fmt.Errorf("qpdf ended with %d (signal %d): %s", exit.Code, exit.Signal, exit.Output))
	}
	return path, nil
}

// job is qpdf's, in its own words (its manual, "QPDFJob: a Job-Based Interface").
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

// order writes qpdf's job into memory without a name: a password must not be in arguments, which everybody on the machine can
// read, nor on a disk, where it could be found later.
func order(request Request, path string) (*os.File, error) {
	owner := request.Secrets.GetOwnerPassword()
	if owner == "" {
		owner = rand.Text() // 128 bits
	}
	content, err := json.Marshal(job{
		InputFile: request.PDF, OutputFile: path,
		Encrypt: encryption{UserPassword: request.Secrets.GetUserPassword(), OwnerPassword: owner, AES256: permitted(request.Options)},
	})
	if err != nil {
		return nil, fmt.Errorf("write the order to qpdf: %w", err)
	}
	defer clear(content)
	fd, err := unix.MemfdCreate("order", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "order")
	if _, err := file.Write(content); err != nil {
		return nil, errors.Join(fmt.Errorf("write the order to qpdf: %w", err), file.Close())
	}
	return file, nil
}

func permitted(options *conversionv1.Options) permissions {
	p := permissions{Print: "full", Modify: "all", Extract: "y"}
	printing := map[conversionv1.Printing]string{conversionv1.Printing_PRINTING_NONE: "none", conversionv1.Printing_PRINTING_LOW: "low"}
	if limited := printing[options.GetAllowPrinting()]; limited != "" {
		p.Print = limited
	}
	changes := map[conversionv1.Changes]string{
		conversionv1.Changes_CHANGES_NONE: "none", conversionv1.Changes_CHANGES_PAGES: "assembly",
		conversionv1.Changes_CHANGES_FORMS: "form", conversionv1.Changes_CHANGES_COMMENTS: "annotate",
	}
	if limited := changes[options.GetAllowChanges()]; limited != "" {
		p.Modify = limited
	}
	if options != nil && options.AllowCopying != nil && !options.GetAllowCopying() {
		p.Extract = "n"
	}
	return p
}
