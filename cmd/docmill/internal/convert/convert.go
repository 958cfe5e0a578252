// Package convert implements `docmill convert`.
//
// The files:
//
//	convert.go     the command: from its arguments to its exit code
//	options.go     the options of the API as flags
//	documents.go   which documents are converted
//	places.go      where their results are stored
//	run.go         the conversion of documents, several at a time
//	result.go      the writing of results
//	passwords.go   prompts for passwords
//	watch.go       documents that arrive later
package convert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/local"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/converter"
)

// Command is `docmill convert`.
//
//nolint:lll // kong's tags cannot be wrapped
type Command struct {
	Documents []string `arg:"" optional:"" help:"Documents, directories of documents, or - for the standard input."`

	Output    string   `short:"o" placeholder:"PATH" help:"Where results are stored: a directory, a file for a single document, or - for the standard output. Default: beside each document; the standard output for the standard input."`
	Force     bool     `short:"f" help:"Replace results that exist."`
	Watch     []string `placeholder:"DIR" sep:"none" help:"Convert the documents in this directory, and keep converting new ones, until stopped. Needs --output."`
	StdinName string   `default:"document" placeholder:"NAME" help:"File name of the standard input. Its extension helps where the content is ambiguous, as for CSV."`

	Server string `placeholder:"URL" help:"Use this Docmill server. Default: convert on this machine."`

	JSON    bool `name:"json" help:"Print a JSON object per document, each on one line."`
	Quiet   bool `short:"q" help:"Print errors only."`
	Verbose bool `short:"v" help:"Log what the local conversion engine does."`

	Options Flags            `embed:""`
	Engine  converter.Config `embed:"" group:"Without --server:"`

	MaxUploadSize config.Size `default:"512MiB" group:"Without --server:" help:"Maximum size of a document."`
}

// Help is shown by --help.
func (*Command) Help() string {
	return `Without --server, LibreOffice on this machine converts the documents, each in its own sandboxed process, several at a time.
All documents in a directory are converted, and their structure is kept below --output. No file is replaced without --force.

Examples:

    docmill convert deck.pptx
    docmill convert deck.pptx reports/*.docx --to pdf -o out/
    docmill convert letter.docx -o letter.png --dpi 150
    docmill convert archive/ --pdf-a 2b -o out/ --server https://docmill.example.com
    cat deck.pptx | docmill convert - >deck.pdf
    DOCMILL_PASSWORD=... docmill convert secret.docx
    docmill convert --watch inbox -o outbox --json

Exit codes: 0 all documents were converted, 1 some were not, 2 the command line is wrong, 3 the server or LibreOffice cannot be
used, 130 stopped by Ctrl-C.`
}

// job is a command whose arguments were checked.
type job struct {
	*Command

	streams   *invocation.Streams
	values    map[string]string
	target    string
	search    search
	places    *places
	documents []document
	toStdout  bool
}

// Run runs the command.
func (c *Command) Run(ctx context.Context, streams *invocation.Streams) error {
	j, err := c.prepare(streams)
	if err != nil {
		return err
	}
	report := j.reporter()
	defer report.Close()
	r := runner{
		options: j.values, target: j.target, force: c.Force, stdin: streams.Stdin, stdout: streams.Stdout,
		parallel: j.parallel(), report: report,
	}
	ctx, stop, err := j.connect(ctx, &r)
	if err != nil {
		return err
	}
	err = j.run(ctx, &r)
	report.Close()
	if failed := stop(); err == nil {
		err = failed
	}
	return err
}

// prepare checks everything that can be checked before documents are converted.
func (c *Command) prepare(streams *invocation.Streams) (*job, error) {
	j := &job{Command: c, streams: streams, values: c.Options.Values()}
	switch {
	case len(c.Documents) == 0 && len(c.Watch) == 0:
		return nil, invocation.Errorf(invocation.Usage, "give a document, a directory, or - for the standard input (see docmill convert --help)")
	case len(c.Watch) > 0 && (c.Output == "" || c.Output == stdout):
		return nil, invocation.Errorf(invocation.Usage, "--watch needs --output with a directory")
	case !filepath.IsLocal(filepath.Base(c.StdinName)) || filepath.Base(c.StdinName) == ".":
		return nil, invocation.Errorf(invocation.Usage, "--stdin-name %q is not a file name", c.StdinName)
	}
	whole, err := j.destination()
	if err == nil {
		err = c.Options.Check(j.values, c.Server == "")
	}
	if err != nil {
		return nil, err
	}
	j.target = targetOf(j.values)
	j.search.target = j.target
	if j.documents, err = j.search.expand(c.Documents, filepath.Base(c.StdinName)); err != nil {
		return nil, err
	}
	if len(j.documents) == 0 && len(c.Watch) == 0 {
		return nil, invocation.Errorf(invocation.Usage, "nothing to convert: found no documents that can be converted to %s (%s left out; see docmill formats)",
			j.target, progress.Plural(j.search.left, "file"))
	}
	return j, j.settle(whole)
}

// destination determines whether --output is a directory or a file. whole is true if it is the file for the result of a
// single document. The extension of that file determines the target, unless --to is given.
func (j *job) destination() (whole bool, err error) {
	if j.Output == "" || j.Output == stdout {
		return false, nil
	}
	info, err := os.Stat(j.Output)
	exists := err == nil
	several := len(j.Documents) != 1 || len(j.Watch) > 0 || isDirectory(j.Documents[0])
	switch {
	case exists && info.IsDir() || strings.HasSuffix(j.Output, "/") || !exists && filepath.Ext(j.Output) == "":
	case several && exists:
		return false, invocation.Errorf(invocation.Usage, "--output %s is a file; results of several documents need a directory", j.Output)
	case !several:
		return true, j.inferTarget()
	}
	j.search.results = resolved(j.Output)
	for _, watched := range j.Watch {
		if resolved(watched) == j.search.results {
			return false, invocation.Errorf(invocation.Usage, "--output must not be the watched directory %s itself", watched)
		}
	}
	return false, nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// inferTarget determines the target by the extension of --output, if --to is not given.
func (j *job) inferTarget() error {
	extension := extensionOf(j.Output)
	if j.values[string(option.To)] != "" || extension == "" {
		return nil
	}
	for target := range format.AllTargets() {
		if target.Extension == extension || target.ID == extension {
			j.values[string(option.To)] = target.ID
			return nil
		}
	}
	return invocation.Errorf(invocation.Usage, "--output %s: nothing can be converted to .%s; give the format with --to", j.Output, extension)
}

// settle determines where the results are stored.
func (j *job) settle(whole bool) error {
	fromStdin := 0
	for _, d := range j.documents {
		if d.path == stdin {
			fromStdin++
		}
	}
	single := len(j.documents) == 1 && len(j.Watch) == 0
	j.toStdout = j.Output == stdout || j.Output == "" && fromStdin == 1
	switch {
	case j.toStdout && !single:
		return invocation.Errorf(invocation.Usage, "only the result of a single document can go to the standard output: give --output with a directory")
	case j.toStdout && j.JSON:
		return invocation.Errorf(invocation.Usage, "--json and a result cannot both go to the standard output: give --output")
	case j.toStdout && j.Output == "" && progress.IsTerminal(j.streams.Stdout):
		return invocation.Errorf(invocation.Usage, "the result would go to the terminal: give --output, or redirect the standard output")
	case j.toStdout:
		return nil
	case whole:
		j.documents[0].stem, j.documents[0].whole = j.Output, true
		return nil
	}
	j.places = newPlaces(j.Output)
	return j.places.plan(j.documents)
}

func (j *job) reporter() progress.Reporter {
	options := progress.Options{Stdout: j.streams.Stdout, Stderr: j.streams.Stderr, Quiet: j.Quiet, StdoutTaken: j.toStdout}
	if len(j.Watch) == 0 {
		options.Total = len(j.documents)
	}
	if j.JSON {
		return progress.NewJSON(options)
	}
	return progress.New(options)
}

// parallel returns how many documents are in progress at the same time. On this machine it is more than the converter
// converts at once, so that it never waits for the next document.
func (j *job) parallel() int {
	const atServer, ahead = 16, 6
	if j.Server != "" {
		return atServer
	}
	return j.Engine.Concurrency() + ahead
}

// connect sets the client of the runner. With --server it is a client of that server, otherwise one of a local instance,
// which connect starts. The returned context is canceled if the local instance ends by itself. The caller must call stop,
// which ends the local instance.
func (j *job) connect(ctx context.Context, r *runner) (_ context.Context, stop func() error, err error) {
	if j.Server != "" {
		if _, err := remote.Reach(ctx, j.Server); err != nil {
			return nil, nil, err
		}
		r.client, err = remote.New(j.Server)
		r.forget = func(client.Job) {}
		return ctx, func() error { return nil }, err
	}
	j.Engine.LibreOffice.Expected = j.families()
	ctx, cancel := context.WithCancelCause(ctx)
	instance, err := local.Start(ctx, j.Engine, j.MaxUploadSize, j.logger(r.report))
	if err != nil {
		cancel(nil)
		return nil, nil, cannotConvertHere(err)
	}
	go func() {
		select {
		case <-instance.Done():
			cancel(cannotConvertHere(instance.Err()))
		case <-ctx.Done():
		}
	}()
	r.client, r.forget = instance.Client, instance.Forget
	return ctx, func() error {
		cancel(nil)
		return instance.Stop()
	}, nil
}

func cannotConvertHere(err error) error {
	return invocation.EngineUnavailable(fmt.Errorf("cannot convert on this machine: %w", err))
}

// families returns the families of the documents, by their names; nil if not all are known from the start.
func (j *job) families() []format.Family {
	if len(j.Watch) > 0 {
		return nil
	}
	var families []format.Family
	for _, d := range j.documents {
		f, known := formatByName(d.name)
		if !known {
			return nil
		}
		if !slices.Contains(families, f.Family) {
			families = append(families, f.Family)
		}
	}
	return families
}

// logger returns the log of the local instance.
func (j *job) logger(report progress.Reporter) *zap.Logger {
	level := zapcore.ErrorLevel
	if j.Verbose {
		level = zapcore.DebugLevel
	}
	encoding := zap.NewDevelopmentEncoderConfig()
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoding), zapcore.AddSync(progress.Writer(report)), level))
}

// run converts all documents and returns nil if that succeeded.
func (j *job) run(ctx context.Context, r *runner) error {
	var err error
	if len(j.Watch) > 0 {
		err = j.watch(ctx, r)
	} else {
		r.all(ctx, j.documents)
		r.askForPasswords(ctx, j.streams)
	}
	if cause := context.Cause(ctx); cause != nil {
		if !errors.As(cause, new(*invocation.Error)) && r.report.Terminal() {
			fmt.Fprintln(j.streams.Stderr, "docmill convert:", cause)
		}
		return cause
	}
	if err == nil && r.failed.Load() > 0 {
		err = invocation.Exit(invocation.Failed)
	}
	return err
}
