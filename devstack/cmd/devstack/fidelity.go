package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/fidelity"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/system"
)

// fidelityPairs is the directory of the project's own pairs.
const fidelityPairs = "testdata/fidelity"

type fidelityCommand struct {
	Score   scoreCommand   `cmd:"" default:"withargs" help:"Print scores by family, and fail if a family is worse than recorded (default)."`
	Picture pictureCommand `cmd:""                    help:"Draw Office's pages and Docmill's beside each other."`
}

type scoreCommand struct {
	Pairs     string `placeholder:"DIR" type:"path" help:"Directory with manifest.tsv. Default: the project's pairs."`
	Only      string `placeholder:"REGEXP" help:"Only documents whose family and name, such as oc-docx/Policy, match."`
	BaseURL   string `name:"base-url" placeholder:"URL" help:"URL of a running Docmill. Default: start 'docmill serve' of the project."`
	Outputs   string `placeholder:"DIR" type:"path" help:"Convert nothing; compare the PDFs that --save stored in this directory."`
	Save      string `placeholder:"DIR" type:"path" help:"Keep the PDFs in this directory."`
	Documents bool   `help:"Also print the scores of each document."`
	Update    bool   `help:"Record the scores in scores.tsv, beside manifest.tsv."`
}

func (c *scoreCommand) Run(ctx context.Context, log *zap.Logger) (err error) {
	project, err := projectDir()
	if err != nil {
		return err
	}
	if _, err := install.Ensure(ctx, log, install.Converter()...); err != nil {
		return err
	}
	c.Pairs = cmp.Or(c.Pairs, filepath.Join(project, fidelityPairs))
	pairs, err := c.selected()
	if err != nil {
		return err
	}
	convert, stop, err := c.converter(ctx, project)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	// Comparisons and conversions alternate, so twice as many pairs as processors keep all of them busy.
	results := fidelity.Run(ctx, pairs, convert, 2*runtime.NumCPU())
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.report(results)
}

// selected returns the pairs to measure.
func (c *scoreCommand) selected() ([]fidelity.Pair, error) {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return nil, fmt.Errorf("setting only: %w", err)
	}
	pairs, err := fidelity.Pairs(c.Pairs)
	if err != nil {
		return nil, err
	}
	pairs = slices.DeleteFunc(pairs, func(p fidelity.Pair) bool { return !only.MatchString(p.String()) })
	if len(pairs) == 0 {
		return nil, fmt.Errorf("no pair in %s matches %q", c.Pairs, c.Only)
	}
	return pairs, nil
}

// converter returns what provides the PDFs, and a function that removes what it has started.
func (c *scoreCommand) converter(ctx context.Context, project string) (fidelity.Convert, func() error, error) {
	if c.Outputs != "" {
		return fidelity.Stored(c.Outputs), func() error { return nil }, nil
	}
	temporary, err := os.MkdirTemp("", "docmill-fidelity-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(temporary) }
	save := cmp.Or(c.Save, filepath.Join(temporary, "pdf"))
	if c.BaseURL != "" {
		return fidelity.Through(newClient(c.BaseURL), save), remove, nil
	}
	started, err := system.StartEmbedded(ctx, system.Options{
		Release: system.Release{Binaries: filepath.Join(project, "bin")}, Data: filepath.Join(temporary, "data"), LogDir: temporary,
	})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start docmill serve: %w", err), remove())
	}
	stop := func() error { return errors.Join(started.Stop(context.WithoutCancel(ctx)), remove()) }
	return fidelity.Through(newClient(started.URL()), save), stop, nil
}

// report prints tables, and compares the scores with the recorded ones or records them.
func (c *scoreCommand) report(results []fidelity.Result) error {
	if c.Documents {
		if err := fidelity.WriteDocuments(os.Stdout, results); err != nil {
			return err
		}
		fmt.Println()
	}
	engine, err := fidelity.EngineOf(results)
	if err != nil {
		return err
	}
	path := filepath.Join(c.Pairs, fidelity.RecordedName)
	recorded, err := fidelity.ReadRecorded(path)
	if err != nil {
		return err
	}
	changes := recorded.Changes(engine, results)
	if engine != "" {
		fmt.Printf("LibreOffice %s\n\n", engine)
	}
	if err := fidelity.WriteFamilies(os.Stdout, results, changes); err != nil {
		return err
	}
	var failures []error
	for _, result := range results {
		if result.Err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", result, result.Err))
		}
	}
	switch {
	case c.Update:
		recorded.Update(results)
		failures = append(failures, recorded.Write(path))
	case engine != "" && len(changes) == 0:
		fmt.Printf("\n%s has no scores of LibreOffice %s to compare with; --update records them.\n", path, engine)
	default:
		failures = append(failures, fidelity.Check(changes))
	}
	return errors.Join(failures...)
}

type pictureCommand struct {
	Pages  []string `arg:"" help:"Pages to draw, such as oc-docx/Policy:2."`
	Pairs  string   `placeholder:"DIR" type:"path" help:"Directory with manifest.tsv. Default: the project's pairs."`
	Before string   `required:"" placeholder:"DIR" type:"path" help:"PDFs that 'score --save' stored with an earlier build."`
	After  string   `required:"" placeholder:"DIR" type:"path" help:"PDFs that 'score --save' stored with this build."`
	Output string   `required:"" placeholder:"DIR" type:"existingdir" help:"Receives a WebP image of each page."`
}

func (c *pictureCommand) Run(ctx context.Context, log *zap.Logger) error {
	project, err := projectDir()
	if err != nil {
		return err
	}
	tools, err := install.Ensure(ctx, log, install.Converter()...)
	if err != nil {
		return err
	}
	pairs, err := fidelity.Pairs(cmp.Or(c.Pairs, filepath.Join(project, fidelityPairs)))
	if err != nil {
		return err
	}
	for _, one := range c.Pages {
		name, number, _ := strings.Cut(one, ":")
		page, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("invalid page %q: want FAMILY/NAME:PAGE, such as oc-docx/Policy:2", one)
		}
		i := slices.IndexFunc(pairs, func(p fidelity.Pair) bool { return p.String() == name })
		if i < 0 {
			return fmt.Errorf("no such pair: %s", name)
		}
		picture, err := fidelity.SideBySide(ctx, page,
			fidelity.Column{Title: "Microsoft Office", Path: pairs[i].Reference},
			fidelity.Column{Title: "Before", Path: fidelity.Path(c.Before, pairs[i])},
			fidelity.Column{Title: "After", Path: fidelity.Path(c.After, pairs[i])})
		if err != nil {
			return err
		}
		path := filepath.Join(c.Output, fmt.Sprintf("%s-%d.webp", strings.ReplaceAll(name, "/", "-"), page))
		if err := writeWebP(ctx, tools.Cwebp, path, picture); err != nil {
			return err
		}
	}
	return nil
}

// writeWebP writes a picture in a quality in which text stays readable.
func writeWebP(ctx context.Context, cwebp, path string, picture image.Image) error {
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, cwebp, "-quiet", "-preset", "text", "-q", "45", "-o", path, "--", "-")
	command.Stdin = &encoded
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("write %s: %w: %s", path, err, output)
	}
	return nil
}
