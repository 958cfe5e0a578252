package converter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/fonts/packages"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/processdir"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	"github.com/docmill/docmill/services/converter/internal/libreoffice"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// Formats returns the formats that a converter with these settings can read. It does not start LibreOffice.
func Formats(config Config) ([]format.Format, error) {
	office, err := libreoffice.New(config.LibreOffice, config.Limits, libreoffice.Deps{Log: zap.NewNop(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		return nil, err
	}
	return office.Formats(), nil
}

// Examine finds out whether this machine can convert documents with these settings. It starts LibreOffice and converts a
// small document, which takes some seconds.
func Examine(ctx context.Context, config Config) []health.Finding {
	findings := []health.Finding{examineSandbox(config)}
	directory, err := processdir.Open(config.WorkDir, "doctor")
	if err != nil {
		return append(findings, unusableWorkDirectory(err))
	}
	defer directory.Close()
	findings = append(findings, examineSpace(config, directory.Path()), examineTools())
	officeFonts, err := libreoffice.FontDirectory(config.LibreOffice)
	if err != nil {
		return append(findings, unusableOffice(err))
	}
	set, err := fonts.Install(directory.Path(), config.Fonts, officeFonts)
	if err != nil {
		return append(findings, health.Finding{
			Part: "fonts", State: health.Broken, Detail: err.Error(), Remedy: "Check --font-dir, and the free space in --work-dir.",
		})
	}
	office, err := libreoffice.New(config.LibreOffice, config.Limits, libreoffice.Deps{
		Directory: directory.Path(), Fonts: set, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		return append(findings, unusableOffice(err))
	}
	return append(findings, examineOffice(ctx, office), examineFormats(office), examineFonts(ctx, directory.Path(), set))
}

// officePackages are Debian's packages of LibreOffice.
const officePackages = "libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui libreoffice-math-nogui"

func unusableOffice(err error) health.Finding {
	return health.Finding{
		Part: "LibreOffice", State: health.Broken, Detail: err.Error(),
		Remedy: "Install it (Debian: apt install " + officePackages + "), or set --soffice.",
	}
}

// examineSandbox checks what the kernel offers to confine documents.
func examineSandbox(config Config) health.Finding {
	found := health.Finding{Part: "sandbox", State: health.OK}
	landlock, seccomp := sandbox.Landlock(), sandbox.Seccomp()
	found.Detail = fmt.Sprintf("The kernel has Landlock (version %d) and seccomp filters.", landlock)
	switch {
	case !seccomp:
		found.State = health.Broken
		found.Detail, found.Remedy = "The kernel has no seccomp filters.", "Use a kernel with CONFIG_SECCOMP_FILTER, and a container runtime that allows it."
	case landlock == 0:
		found.State = health.Broken
		if config.LibreOffice.AllowUnconfined {
			found.State = health.Warning
		}
		found.Detail = "The kernel has no Landlock, so documents could read this machine's files."
		found.Remedy = "Use Linux 5.13 or newer with landlock in the boot parameter lsm=, and a container runtime that allows it; or set --allow-unconfined."
	}
	return found
}

func examineSpace(config Config, path string) health.Finding {
	if err := config.Limits.CheckSpace(path); err != nil {
		return unusableWorkDirectory(err)
	}
	return health.Finding{Part: workDirectory, State: health.OK, Detail: path + " can be written and has space."}
}

const workDirectory = "work directory"

func unusableWorkDirectory(err error) health.Finding {
	return health.Finding{
		Part: workDirectory, State: health.Broken, Detail: err.Error(), Remedy: "Make space, or set --work-dir or TMPDIR to another directory.",
	}
}

// notInstalled lists programs or fonts that are not installed, and the Debian packages that contain them.
type notInstalled struct{ names, packages []string }

func (n *notInstalled) add(name, debianPackage string) {
	n.names = append(n.names, name)
	if !slices.Contains(n.packages, debianPackage) {
		n.packages = append(n.packages, debianPackage)
	}
}

func (n *notInstalled) finding(part string, state health.State) health.Finding {
	return health.Finding{
		Part: part, State: state, Detail: "Missing: " + strings.Join(n.names, ", ") + ".",
		Remedy: "Install them (Debian: apt install " + strings.Join(n.packages, " ") + ").",
	}
}

// examineTools looks for the other programs.
func examineTools() health.Finding {
	var missing notInstalled
	tools := slices.Concat(pdf.Programs(), fonts.Programs())
	for _, tool := range tools {
		if _, err := tool.Find(); err != nil {
			missing.add(tool.Name, tool.Package)
		}
	}
	if len(missing.names) > 0 {
		return missing.finding("programs", health.Broken)
	}
	return health.Finding{Part: "programs", State: health.OK, Detail: fmt.Sprintf("All %d are installed.", len(tools))}
}

// startLimit is how long LibreOffice may take to start. A converter waits longer.
const startLimit = time.Minute

// examineOffice loads LibreOffice, which converts a small document before it counts as loaded.
func examineOffice(ctx context.Context, office *libreoffice.Engine) health.Finding {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("it was not loaded within %s", startLimit))
	defer cancel()
	var detail string
	began, drain := time.Now(), make(chan struct{})
	err := office.Run(ctx, func() {
		detail = fmt.Sprintf("%s in %s was loaded and converted a document within %.1f s.", office.Version(), office.Program(), time.Since(began).Seconds())
		close(drain)
	}, drain)
	if detail != "" {
		return advised(office, health.Finding{Part: "LibreOffice", State: health.OK, Detail: detail})
	}
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	return health.Finding{
		Part: "LibreOffice", State: health.Broken, Detail: fmt.Sprintf("It cannot be used: %v.", err),
		Remedy: "Install LibreOffice 25.2 again, or set --soffice to another one.",
	}
}

// advised adds what a newer LibreOffice would do better.
func advised(office *libreoffice.Engine, found health.Finding) health.Finding {
	if advice := office.Advice(); advice != "" {
		found.State, found.Detail = health.Warning, found.Detail+" "+advice
		found.Remedy = "Install LibreOffice 25.2 (Debian 12: add bookworm-backports to apt's sources, and run apt install -t bookworm-backports " + officePackages + ")."
	}
	return found
}

// examineFormats reports the formats that LibreOffice lacks filters for.
func examineFormats(office *libreoffice.Engine) health.Finding {
	readable := office.Formats()
	var missing []string
	for f := range format.All() {
		if !slices.Contains(readable, f) {
			missing = append(missing, f.ID)
		}
	}
	if len(missing) > 0 {
		return health.Finding{
			Part: "formats", State: health.Warning, Detail: fmt.Sprintf("%d can be read, but not %s.", len(readable), strings.Join(missing, ", ")),
			Remedy: "If you need them, install the rest of LibreOffice (Debian: apt install libreoffice-draw-nogui libreoffice-writer libreoffice-calc libreoffice-impress).",
		}
	}
	return health.Finding{Part: "formats", State: health.OK, Detail: fmt.Sprintf("All %d can be read.", len(readable))}
}

func examineFonts(ctx context.Context, directory string, set *fonts.Set) health.Finding {
	library, err := fonts.Open(directory, set, zap.NewNop())
	if err != nil {
		return health.Finding{Part: "fonts", State: health.Broken, Detail: err.Error(), Remedy: "Install fontconfig (Debian: apt install fontconfig)."}
	}
	needed := packages.Relied()
	if !set.Bundled() {
		needed = append(needed, packages.System()...)
	}
	var missing notInstalled
	for _, p := range needed {
		for _, family := range p.Families {
			if !library.Has(ctx, family.Name) && !library.Has(ctx, family.Instead) {
				missing.add(fmt.Sprintf("%s (instead of %s)", family.Name, family.Instead), p.Name)
			}
		}
	}
	if len(missing.names) > 0 {
		found := missing.finding("fonts", health.Warning)
		found.Detail = "Text may look different from the originals, and lines may break in other places. " + found.Detail
		return found
	}
	return health.Finding{Part: "fonts", State: health.OK, Detail: "Those of most documents, or fonts of the same widths, are installed."}
}
