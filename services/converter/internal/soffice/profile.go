package soffice

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docmill/docmill/services/converter/internal/child"
)

// userFolder is the part of a profile that LibreOffice keeps its configuration in.
const userFolder = "user"

// settings forbids what a document could do beyond being converted; each item says what. Without them a picture linked in
// a presentation was read from disk into the PDF, and one linked in a text was fetched from the network (LibreOffice 7.4).
//
//go:embed registrymodifications.xcu
var settings []byte

// Canaries are one tiny document of each family: they prove that LibreOffice's parts are installed.
var (
	//go:embed canary/text.txt
	canaryText []byte
	//go:embed canary/spreadsheet.csv
	canarySpreadsheet []byte
	//go:embed canary/presentation.fodp
	canaryPresentation []byte
)

type canary struct {
	name, part string
	content    []byte
}

func canaries() []canary {
	return []canary{
		{"text.txt", "libreoffice-writer", canaryText},
		{"spreadsheet.csv", "libreoffice-calc", canarySpreadsheet},
		{"presentation.fodp", "libreoffice-impress", canaryPresentation},
	}
}

// prepareProfile makes the profile that every conversion gets a copy of, and converts the canaries with it.
func (o *Office) prepareProfile(ctx context.Context, folder string) (string, error) {
	home, err := os.MkdirTemp(folder, "office-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the profile: %w", err)
	}
	profile := filepath.Join(home, "profile")
	if err := os.MkdirAll(filepath.Join(profile, userFolder), 0o700); err != nil {
		return "", fmt.Errorf("make the profile: %w", err)
	}
	if err := os.WriteFile(filepath.Join(profile, userFolder, "registrymodifications.xcu"), settings, 0o600); err != nil {
		return "", fmt.Errorf("write the profile's settings: %w", err)
	}
	if err := o.setUp(ctx, home, profile); err != nil {
		return "", err
	}
	if err := o.convertCanaries(ctx, home, profile); err != nil {
		return "", err
	}
	return profile, nil
}

func (o *Office) setUp(ctx context.Context, home, profile string) error {
	exit, err := run(ctx, child.Command{
		Path: o.binary, Args: []string{profileArgument(profile), "--headless", "--terminate_after_init"},
		Env: environment(home, home), Dir: home, Limits: o.limits,
	})
	if err != nil {
		return fmt.Errorf("set the profile up: %w", err)
	}
	if exit.Code != 0 {
		return fmt.Errorf("set the profile up: it ended with %d (signal %d): %s", exit.Code, exit.Signal, exit.Output)
	}
	return nil
}

func (o *Office) convertCanaries(ctx context.Context, home, profile string) error {
	out := filepath.Join(home, "canaries")
	arguments := append(batchArguments(profile), "--convert-to", "pdf", "--outdir", out)
	for _, canary := range canaries() {
		path := filepath.Join(home, canary.name)
		if err := os.WriteFile(path, canary.content, 0o600); err != nil {
			return fmt.Errorf("write a trial document: %w", err)
		}
		arguments = append(arguments, path)
	}
	exit, err := run(ctx, child.Command{
		Path: o.binary, Args: arguments, Env: environment(home, home), Dir: home, Limits: o.limits,
	})
	if err != nil {
		return fmt.Errorf("convert a trial document: %w", err)
	}
	for _, canary := range canaries() {
		if _, err := o.pdf.Pages(ctx, filepath.Join(out, resultName(canary.name, "pdf"))); err != nil {
			return errors.Join(
				fmt.Errorf("convert the trial document %s; is %s installed? LibreOffice said: %s", canary.name, canary.part, exit.Output), err)
		}
	}
	return nil
}
