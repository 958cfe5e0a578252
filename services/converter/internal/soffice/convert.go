package soffice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/docmill/docmill/platform/document"
	"github.com/docmill/docmill/platform/problem"
	"github.com/docmill/docmill/services/converter/internal/child"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// The folders of one conversion, in the request's folder.
const (
	profileFolder = "profile"
	homeFolder    = "home"
	tempFolder    = "temp"
	outputFolder  = "output"
)

// Convert implements engine.Engine.
func (o *Office) Convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	source, err := engine.Examine(request)
	if err != nil {
		return engine.Output{}, err
	}
	for _, name := range []string{homeFolder, tempFolder, outputFolder} {
		if err := os.Mkdir(filepath.Join(request.Folder, name), 0o700); err != nil {
			return engine.Output{}, fmt.Errorf("make the conversion's folders: %w", err)
		}
	}
	if err := os.CopyFS(filepath.Join(request.Folder, profileFolder), os.DirFS(o.profile)); err != nil {
		return engine.Output{}, fmt.Errorf("copy the profile: %w", err)
	}
	exit, err := run(ctx, o.command(request, source))
	if err != nil {
		return engine.Output{}, fmt.Errorf("run LibreOffice: %w", engine.Limited(err))
	}
	return o.judge(ctx, request, source, exit)
}

func (o *Office) command(request engine.Request, source document.Recognition) child.Command {
	arguments := batchArguments(filepath.Join(request.Folder, profileFolder))
	if source.Import.Filter != "" {
		arguments = append(arguments, "--infilter="+strings.TrimSuffix(source.Import.Filter+":"+source.Import.Options, ":"))
	}
	arguments = append(arguments,
		"--convert-to", strings.TrimSuffix(request.Target.Extension+":"+exportFilter(request, source)+":"+engine.ExportOptions(request), ":"),
		"--outdir", filepath.Join(request.Folder, outputFolder),
		request.Source)
	return child.Command{
		Path: o.binary, Args: arguments, Dir: request.Folder, Limits: o.limits,
		Env: environment(filepath.Join(request.Folder, homeFolder), filepath.Join(request.Folder, tempFolder)),
	}
}

// exportFilter names the filter for what the document really is: Writer's cannot write what Impress has opened.
func exportFilter(request engine.Request, source document.Recognition) string {
	if target, found := source.Format.Target(request.Target.ID); found {
		return target.Export.Filter
	}
	return request.Target.Export.Filter
}

// batchArguments make LibreOffice convert without a screen, questions or traces.
func batchArguments(profile string) []string {
	return []string{
		profileArgument(profile), "--headless", "--norestore", "--nolockcheck", "--nologo", "--nodefault", "--nofirststartwizard",
	}
}

func profileArgument(profile string) string {
	return "-env:UserInstallation=" + (&url.URL{Scheme: "file", Path: profile}).String()
}

// environment is all that LibreOffice sees of ours: a document's formulas and fields can read the environment
// (CVE-2024-12426).
func environment(home, temp string) []string {
	return []string{"HOME=" + home, "TMPDIR=" + temp, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "SAL_USE_VCLPLUGIN=svp"}
}

// run runs LibreOffice, and a second time when it asks for that: it ends with 81 (EXITHELPER_NORMAL_RESTART) before it has
// done anything when its profile needed to be brought up to date first.
func run(ctx context.Context, command child.Command) (child.Exit, error) {
	const normalRestart = 81
	exit, err := child.Run(ctx, command)
	if err == nil && exit.Code == normalRestart {
		return child.Run(ctx, command)
	}
	return exit, err
}

// judge decides what a run came to. LibreOffice ends with 0 whether it has converted or not: the file is what counts.
func (o *Office) judge(ctx context.Context, request engine.Request, source document.Recognition, exit child.Exit) (engine.Output, error) {
	said := fmt.Errorf("LibreOffice ended with %d (signal %d) and said: %s", exit.Code, exit.Signal, exit.Output)
	if crashed(exit) {
		return engine.Output{}, problem.New(problem.EngineCrashed, "The conversion crashed.").Because(said)
	}
	output, err := engine.Inspect(ctx, o.pdf, request, filepath.Join(request.Folder, outputFolder, resultName(request.Source, request.Target.Extension)))
	switch {
	case err == nil:
		return output, nil
	case errors.Is(err, fs.ErrNotExist) && source.Encrypted:
		return engine.Output{}, problem.New(problem.PasswordRequired, "The document is encrypted.").Because(said)
	case errors.Is(err, fs.ErrNotExist):
		return engine.Output{}, problem.New(problem.DocumentMalformed, "The document could not be opened.").Because(said)
	default:
		return engine.Output{}, fmt.Errorf("%w; %w", err, said)
	}
}

// crashed tells a crash from an end. LibreOffice handles the signals of a crash itself, writes a stack and aborts; where
// it still can, it ends with one of its own codes (desktop/source/app: EXITHELPER_FATAL_ERROR and _CRASH_WITH_RESTART).
func crashed(exit child.Exit) bool {
	const fatalError, crashWithRestart = 77, 79
	return exit.Signal != 0 || exit.Code == fatalError || exit.Code == crashWithRestart
}

// resultName is what LibreOffice calls the result of a document.
func resultName(source, extension string) string {
	name := filepath.Base(source)
	return strings.TrimSuffix(name, filepath.Ext(name)) + "." + extension
}
