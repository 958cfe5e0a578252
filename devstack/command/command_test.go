// Package command tests the program docmill as its users see it: run as a process, on this machine and with a server.
package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/system"
)

const project = "../.."

// patience limits one run of the program. It does not measure speed.
const patience = 5 * time.Minute

// shared is built and started once per test process.
var shared = struct {
	binaries func() (string, error)
	server   func() (*system.System, error)
}{
	binaries: sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "docmill-command-")
		if err != nil {
			return "", err
		}
		return dir, system.Build(context.Background(), project, dir, system.Single())
	}),
}

func TestMain(m *testing.M) {
	var started *system.System
	var data string
	shared.server = sync.OnceValues(func() (*system.System, error) {
		binaries, err := shared.binaries()
		if err != nil {
			return nil, err
		}
		if data, err = os.MkdirTemp("", "docmill-command-data-"); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		started, err = system.StartEmbedded(ctx, system.Options{
			Data: data, Release: system.Release{Binaries: binaries}, LogDir: binaries,
			Env: map[string][]string{system.Embedded: {"DOCMILL_ALLOW_LISTING=true"}},
		})
		return started, err
	})
	code := m.Run()
	if started != nil {
		_ = started.Stop(context.Background())
		_ = os.RemoveAll(data)
	}
	if binaries, err := shared.binaries(); err == nil {
		_ = os.RemoveAll(binaries)
	}
	os.Exit(code)
}

// bench is where a test runs the program: an empty directory, and another one for temporary files.
type bench struct {
	dir, temporary string
	env            []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), temporary: t.TempDir()}
	b.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "TMPDIR=" + b.temporary, "LANG=C.UTF-8"}
	return b
}

// withServer returns a bench whose program uses the shared server.
func withServer(t *testing.T) *bench {
	t.Helper()
	s, err := shared.server()
	require.NoError(t, err)
	b := newBench(t)
	b.env = append(b.env, "DOCMILL_SERVER="+s.URL())
	return b
}

// put copies documents of testdata into the bench.
func (b *bench) put(t *testing.T, name string, as ...string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(project, "testdata", name))
	require.NoError(t, err)
	for _, path := range as {
		b.write(t, path, content)
	}
}

func (b *bench) write(t *testing.T, path string, content []byte) {
	t.Helper()
	path = filepath.Join(b.dir, path)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, content, 0o600))
}

// files returns the names of all files in a directory of the bench.
func (b *bench) files(t *testing.T, directory string) []string {
	t.Helper()
	var names []string
	root := filepath.Join(b.dir, directory)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(root, path)
			names = append(names, name)
		}
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return names
}

// requireClean checks that the program left no temporary files.
func (b *bench) requireClean(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(b.temporary, "docmill-*", "*-*")) // a lock may stay
	require.NoError(t, err)
	require.Empty(t, left)
}

// outcome is how a run of the program ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func (b *bench) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	binaries, err := shared.binaries()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "docmill"), args...)
	cmd.Dir, cmd.Env = b.dir, b.env
	return cmd
}

func (b *bench) run(t *testing.T, args ...string) outcome {
	t.Helper()
	return finish(t, b.command(t, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); !exited {
		require.NoError(t, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (o outcome) require(t *testing.T, code int) outcome {
	t.Helper()
	require.Equal(t, code, o.code, "%s%s", o.stdout, o.stderr)
	return o
}

// line is a line of --json.
type line struct {
	Document string `json:"document"`
	Status   string `json:"status"`
	Result   string `json:"result"`
	Pages    int    `json:"pages"`
	Error    *struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
		Remedy string `json:"remedy"`
	} `json:"error"`
}

// lines returns the lines of --json by their documents.
func (o outcome) lines(t *testing.T) map[string]line {
	t.Helper()
	found := map[string]line{}
	for decoder := json.NewDecoder(strings.NewReader(o.stdout)); ; {
		var l line
		err := decoder.Decode(&l)
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err, o.stdout)
		found[l.Document] = l
	}
}

// TestConvertHere converts a directory without a server: documents below it, two with the same stem, one that is damaged,
// one that needs a password, files that are no documents, and the rests of a run that was killed.
func TestConvertHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put(t, "synth-three-pages.docx", "in/a.docx", "in/deep/er/b.docx", "in/twice.docx", "in/.hidden.docx", "in/~$a.docx")
	b.put(t, "synth-letter.odt", "in/twice.odt")
	b.put(t, "gotenberg__protected_page_1.docx", "in/locked.docx")
	b.write(t, "in/damaged.pptx", []byte("PK\x03\x04 not a package"))
	b.write(t, "in/program.exe", []byte("MZ"))
	killed := filepath.Join(b.temporary, "docmill-local-"+uid(), "local-killed")
	require.NoError(t, os.MkdirAll(killed, 0o700))

	ran := b.run(t, "convert", "in", "-o", "out", "--json").require(t, 1)
	require.Equal(t, []string{"a.pdf", "deep/er/b.pdf", "twice.docx.pdf", "twice.odt.pdf"}, b.files(t, "out"))
	lines := ran.lines(t)
	require.Len(t, lines, 6, ran.stdout)
	require.Equal(t, "out/deep/er/b.pdf", lines["in/deep/er/b.docx"].Result)
	require.Equal(t, 3, lines["in/a.docx"].Pages)
	require.Equal(t, "password-required", lines["in/locked.docx"].Error.Code)
	require.Contains(t, lines["in/locked.docx"].Error.Remedy, "--password-file")
	require.NotEmpty(t, lines["in/damaged.pptx"].Error.Detail)
	b.requireClean(t)
}

func uid() string { return strings.TrimSpace(string(must(exec.Command("id", "-u").Output()))) }

func must(output []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return output
}

func TestResultsAreNotReplaced(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	b.put(t, "synth-three-pages.docx", "a.docx")
	b.write(t, "a.pdf", []byte("mine"))
	ran := b.run(t, "convert", "a.docx").require(t, 1)
	require.Contains(t, ran.stderr, "--force")
	require.Equal(t, "mine", string(must(os.ReadFile(filepath.Join(b.dir, "a.pdf")))))
	ran = b.run(t, "convert", "a.docx", "--force").require(t, 0)
	require.Contains(t, ran.stdout, "a.docx -> a.pdf (3 pages")
	require.True(t, bytes.HasPrefix(must(os.ReadFile(filepath.Join(b.dir, "a.pdf"))), []byte("%PDF-")))
	b.run(t, "convert", "a.docx", "--to", "docx", "--force").require(t, 1) // would replace the document
	require.Equal(t, []string{"a.docx", "a.pdf"}, b.files(t, "."))
}

func TestStreamsAndNames(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	b.put(t, "synth-three-pages.docx", "a.docx")
	cmd := b.command(t, "convert", "-")
	cmd.Stdin = bytes.NewReader(must(os.ReadFile(filepath.Join(b.dir, "a.docx"))))
	ran := finish(t, cmd).require(t, 0)
	require.True(t, strings.HasPrefix(ran.stdout, "%PDF-"))
	require.Empty(t, ran.stderr)

	b.run(t, "convert", "a.docx", "-o", "first.png", "--pages", "1", "--dpi", "20").require(t, 0)
	require.True(t, bytes.HasPrefix(must(os.ReadFile(filepath.Join(b.dir, "first.png"))), []byte("\x89PNG")))
	ran = b.run(t, "convert", "a.docx", "-o", "all.png", "--dpi", "20").require(t, 1)
	require.Contains(t, ran.stderr, "zip")
	b.run(t, "convert", "a.docx", "-o", "new/", "--to", "png", "--dpi", "20").require(t, 0)
	require.Equal(t, []string{"a.zip"}, b.files(t, "new"))
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	b.put(t, "gotenberg__protected_page_1.docx", "locked.docx")
	ran := b.run(t, "convert", "locked.docx").require(t, 1)
	require.Contains(t, ran.stderr, "[password-required]")
	b.write(t, "secret", []byte("wrong\n"))
	ran = b.run(t, "convert", "locked.docx", "--password-file", "secret").require(t, 1)
	require.Contains(t, ran.stderr, "[password-wrong]")
	b.write(t, "secret", []byte("foo\n"))
	b.run(t, "convert", "locked.docx", "--password-file", "secret").require(t, 0)
	b.env = append(b.env, "DOCMILL_PASSWORD=foo")
	b.run(t, "convert", "locked.docx", "-o", "again.pdf").require(t, 0)
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		env  string
		want []string
		code int
	}{
		"unknown flag":         {args: []string{"convert", "a.docx", "--pagez", "1"}, want: []string{"--pages"}, code: 2},
		"unknown command":      {args: []string{"konvert"}, want: []string{"convert"}, code: 2},
		"unknown environment":  {args: []string{"convert", "a.docx"}, env: "DOCMILL_PAGEZ=1", want: []string{"DOCMILL_PAGEZ"}, code: 2},
		"nothing":              {args: []string{"convert"}, want: []string{"--help"}, code: 2},
		"empty directory":      {args: []string{"convert", "empty"}, want: []string{"nothing to convert"}, code: 2},
		"value out of range":   {args: []string{"convert", "a.docx", "--image-dpi", "7"}, want: []string{"51 to 1200"}, code: 2},
		"wrong word":           {args: []string{"convert", "a.docx", "--to", "pfd"}, want: []string{"pdf"}, code: 2},
		"wrong for the target": {args: []string{"convert", "a.docx", "--dpi", "90"}, want: []string{"--dpi"}, code: 2},
		"contradiction":        {args: []string{"convert", "a.docx", "--image-lossless", "--image-quality", "90"}, want: []string{"--image-quality"}, code: 2},
		"password as a flag":   {args: []string{"convert", "a.docx", "--password", "x"}, want: []string{"unknown flag"}, code: 2},
		"same result":          {args: []string{"convert", "a.docx", "sub/a.docx", "-o", "out"}, want: []string{"same result"}, code: 2},
		"file for several":     {args: []string{"convert", "a.docx", "sub", "-o", "file"}, want: []string{"is a file"}, code: 2},
		"several to stdout":    {args: []string{"convert", "a.docx", "sub/a.docx", "-o", "-"}, want: []string{"single document"}, code: 2},
		"watch without output": {args: []string{"convert", "--watch", "sub"}, want: []string{"--output"}, code: 2},
		"unreachable server":   {args: []string{"convert", "a.docx", "--server", "127.0.0.1:1"}, want: []string{"connection refused"}, code: 3},
		"no URL":               {args: []string{"convert", "a.docx", "--server", "ftp://x"}, want: []string{"is not a URL"}, code: 2},
		"no LibreOffice":       {args: []string{"convert", "a.docx", "--soffice", "/nonexistent"}, want: []string{"LibreOffice is missing"}, code: 3},
		"options of a submission": {
			args: []string{"convert", "a.docx", "--server", "127.0.0.1:1", "--expires-in", "5", "--callback-url", "ftp://x", "--callback-events", "job.ended", "--dpi", "90"},
			want: []string{"--expires-in must be a whole number from 60", "--callback-url must be an http", "--callback-events must be", "--dpi"}, code: 2,
		},
		"events without a URL":   {args: []string{"convert", "a.docx", "--server", "127.0.0.1:1", "--callback-events", "job.failed"}, want: []string{"needs --callback-url"}, code: 2},
		"webhook without server": {args: []string{"convert", "a.docx", "--callback-url", "https://example.com"}, want: []string{"needs --server"}, code: 2},
		"jobs without ids":       {args: []string{"jobs", "cancel", "", "x"}, want: []string{`"" is not the id of a job`, `"x" is not`}, code: 2},
		"one job without an id":  {args: []string{"jobs", "show", ""}, want: []string{`"" is not the id of a job`}, code: 2},
		"result without an id":   {args: []string{"result", ""}, want: []string{`"" is not the id of a job`}, code: 2},
		"webhooks without ids":   {args: []string{"webhooks", "resend", "", "x"}, want: []string{`"" is not the id of a job`, `"x" is not`}, code: 2},
		"negative age": {
			args: []string{"webhooks", "verify", "--max-age=-5m", "--id=x", "--timestamp=1", "--signature=x"},
			want: []string{"--max-age must be", "--webhook-secret-file"}, code: 2,
		},
		"missing document": {args: []string{"convert", "b.docx"}, want: []string{"no such file"}, code: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.put(t, "synth-three-pages.docx", "a.docx", "sub/a.docx")
			b.write(t, "file", []byte("x"))
			require.NoError(t, os.Mkdir(filepath.Join(b.dir, "empty"), 0o700))
			if c.env != "" {
				b.env = append(b.env, c.env)
			}
			ran := b.run(t, c.args...).require(t, c.code)
			for _, want := range c.want {
				require.Contains(t, ran.stderr, want)
			}
			require.Equal(t, []string{"a.docx", "file", "sub/a.docx"}, b.files(t, "."))
			b.requireClean(t)
		})
	}
}

// TestInterrupt stops a conversion on this machine when its first result has appeared.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	names := []string{}
	for i := range 100 {
		names = append(names, "in/"+string(rune('a'+i/26))+string(rune('a'+i%26))+".docx")
	}
	b.put(t, "synth-three-pages.docx", names...)
	cmd := b.command(t, "convert", "in", "-o", "out")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = stdout.Read(make([]byte, 1))
	require.NoError(t, err, &stderr)
	began := time.Now()
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_, _ = io.Copy(io.Discard, stdout)
	require.Error(t, cmd.Wait())
	require.Equal(t, 130, cmd.ProcessState.ExitCode(), &stderr)
	require.Less(t, time.Since(began), 20*time.Second)
	results := b.files(t, "out")
	require.NotEmpty(t, results)
	require.Less(t, len(results), len(names))
	for _, name := range results {
		require.True(t, strings.HasSuffix(name, ".pdf") && !strings.HasPrefix(name, "."), name)
	}
	b.requireClean(t)
}

// TestWatch converts documents that exist, that arrive in a new directory, and that are written slowly or again.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	b.put(t, "synth-three-pages.docx", "in/first.docx")
	cmd := b.command(t, "convert", "--watch", "in", "-o", "in/out", "--json")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := json.NewDecoder(stdout)
	next := func() line {
		t.Helper()
		var l line
		require.NoError(t, lines.Decode(&l))
		return l
	}
	require.Equal(t, "in/out/first.pdf", next().Result)

	slow, err := os.Create(filepath.Join(b.dir, "in", "slow.docx"))
	require.NoError(t, err)
	content := must(os.ReadFile(filepath.Join(project, "testdata", "synth-three-pages.docx")))
	_, err = slow.Write(content[:1000])
	require.NoError(t, err)
	b.put(t, "synth-letter.odt", "in/new/second.odt")
	require.Equal(t, "in/out/new/second.pdf", next().Result, "while the other one is still being written")
	_, err = slow.Write(content[1000:])
	require.NoError(t, err)
	require.NoError(t, slow.Close())
	l := next()
	require.Equal(t, "in/out/slow.pdf", l.Result, l.Error)

	b.put(t, "synth-letter.odt", "in/new/again.odt")
	require.NoError(t, os.Rename(filepath.Join(b.dir, "in/new/again.odt"), filepath.Join(b.dir, "in/new/second.odt")))
	require.Equal(t, "in/out/new/second.pdf", next().Result, "its own result is replaced")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.ErrorIs(t, lines.Decode(&line{}), io.EOF)
	require.Error(t, cmd.Wait())
	require.Equal(t, 143, cmd.ProcessState.ExitCode())
}

func TestJobs(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	b.put(t, "synth-three-pages.docx", "a.docx")
	ran := b.run(t, "convert", "a.docx", "--json", "--tag", "mine").require(t, 0)
	var converted struct {
		Job string `json:"job"`
	}
	require.NoError(t, json.Unmarshal([]byte(ran.stdout), &converted))

	require.Contains(t, b.run(t, "jobs", "show", converted.Job).require(t, 0).stdout, "succeeded")
	var job struct {
		ID  string `json:"id"`
		Tag string `json:"tag"`
	}
	require.NoError(t, json.Unmarshal([]byte(b.run(t, "jobs", "wait", converted.Job, "--json").require(t, 0).stdout), &job))
	require.Equal(t, converted.Job, job.ID)
	require.Equal(t, "mine", job.Tag)
	require.Contains(t, b.run(t, "jobs", "events", converted.Job).require(t, 0).stdout, "succeeded")
	b.run(t, "result", converted.Job).require(t, 1) // a.pdf exists
	b.run(t, "result", converted.Job, "-o", "b.pdf").require(t, 0)
	require.Equal(t, must(os.ReadFile(filepath.Join(b.dir, "a.pdf"))), must(os.ReadFile(filepath.Join(b.dir, "b.pdf"))))

	fifo := filepath.Join(b.dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	received := make(chan []byte, 1)
	go func() { content, _ := os.ReadFile(fifo); received <- content }()
	b.run(t, "result", converted.Job, "-o", "fifo", "--force").require(t, 0)
	require.Equal(t, must(os.ReadFile(filepath.Join(b.dir, "a.pdf"))), <-received, "it is written into, not replaced")

	const unknown = "01a1ff70-0e8f-7d2b-b4a5-0c3c1f5a1c11"
	for _, command := range [][]string{{"jobs", "show"}, {"jobs", "wait"}, {"jobs", "events"}, {"result"}} {
		ran := b.run(t, append(command, unknown)...).require(t, 1)
		require.Contains(t, ran.stderr, "[job-not-found]")
		b.run(t, append(command, unknown, "--server", "127.0.0.1:1")...).require(t, 3)
	}
	require.Contains(t, b.run(t, "formats").require(t, 0).stdout, "pptx")
}

func TestJobsAreChanged(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	tag := "tag-" + filepath.Base(t.TempDir()) + "-" + filepath.Base(b.dir)
	b.put(t, "synth-three-pages.docx", "a.docx")
	b.put(t, "synth-all-hidden.pptx", "b.pptx")
	type listed struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	list := func(args ...string) (jobs []listed) {
		ran := b.run(t, append([]string{"jobs", "list", "--json", "--tag", tag}, args...)...).require(t, 0)
		for text := range strings.Lines(ran.stdout) {
			var job listed
			require.NoError(t, json.Unmarshal([]byte(text), &job))
			jobs = append(jobs, job)
		}
		return jobs
	}
	require.Empty(t, list())
	b.run(t, "convert", "a.docx", "--tag", tag).require(t, 0)
	b.run(t, "convert", "b.pptx", "--tag", tag).require(t, 1)
	all := list("--after", "1h")
	require.Len(t, all, 2)
	failed, succeeded := all[0], all[1]
	require.Equal(t, "failed", failed.Status)
	require.Equal(t, []listed{succeeded}, list("--status", "succeeded", "--status", "queued"))
	require.Equal(t, []listed{failed}, list("--limit", "1"))
	require.Empty(t, list("--before", "1h"))
	require.Contains(t, b.run(t, "jobs", "list", "--tag", tag).require(t, 0).stdout, "b.pptx")

	ran := b.run(t, "jobs", "cancel", failed.ID, succeeded.ID).require(t, 1)
	require.Contains(t, ran.stderr, failed.ID+": The job has already failed. To delete its files: docmill jobs rm ID. [job-not-cancelable]\n")
	require.Contains(t, ran.stderr, succeeded.ID+": The job has already succeeded.")
	ran = b.run(t, "jobs", "retry", succeeded.ID, failed.ID).require(t, 1)
	require.Contains(t, ran.stderr, "[job-not-retryable]")
	require.Contains(t, ran.stdout, failed.ID+": ", "the other job is retried nevertheless")
	b.run(t, "jobs", "wait", failed.ID).require(t, 1)
	require.Regexp(t, `retried +1\n`, b.run(t, "jobs", "show", failed.ID).require(t, 0).stdout)

	ran = b.run(t, "jobs", "rm", failed.ID, succeeded.ID, failed.ID).require(t, 0)
	require.Equal(t, 3, strings.Count(ran.stdout, ": deleted\n"), ran.stdout)
	require.Contains(t, b.run(t, "jobs", "show", failed.ID).require(t, 1).stderr, "[job-deleted]")
	require.Contains(t, b.run(t, "result", succeeded.ID, "-o", "x.pdf").require(t, 1).stderr, "[job-deleted]")
	require.Empty(t, list())
	for _, command := range []string{"cancel", "retry", "rm"} {
		b.run(t, "jobs", command, failed.ID, "--server", "127.0.0.1:1").require(t, 3)
	}
	b.run(t, "jobs", "list", "--server", "127.0.0.1:1").require(t, 3)
	b.run(t, "jobs", "list", "--limit", "-1").require(t, 2)
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	type finding struct {
		Part   string `json:"part"`
		State  string `json:"state"`
		Remedy string `json:"remedy"`
	}
	examine := func(t *testing.T, b *bench, code int, args ...string) map[string]finding {
		t.Helper()
		ran := b.run(t, append([]string{"doctor", "--json"}, args...)...).require(t, code)
		var findings []finding
		require.NoError(t, json.Unmarshal([]byte(ran.stdout), &findings), ran.stdout)
		byPart := map[string]finding{}
		for _, f := range findings {
			byPart[f.Part] = f
			require.Equal(t, f.State != "ok", f.Remedy != "", "%s: a remedy if it is needed", f.Part)
		}
		b.requireClean(t)
		return byPart
	}
	t.Run("healthy", func(t *testing.T) {
		t.Parallel()
		findings := examine(t, withServer(t), 0)
		require.Len(t, findings, 8, slices.Sorted(maps.Keys(findings)))
		require.NotEqual(t, "broken", findings["LibreOffice"].State)
		require.Equal(t, "ok", findings["sandbox"].State)
	})
	t.Run("broken", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.write(t, "file", nil)
		findings := examine(t, b, 1, "--soffice=/nonexistent", "--data=file", "--server=127.0.0.1:1")
		for _, part := range []string{"LibreOffice", "data directory", "server 127.0.0.1:1"} {
			require.Equal(t, "broken", findings[part].State, part)
		}
	})
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for shell, check := range map[string][]string{"bash": {"bash", "-n"}, "zsh": {"zsh", "-n"}, "fish": {"fish", "--no-execute"}} {
		script := b.run(t, "completion", shell).require(t, 0).stdout
		require.Contains(t, script, "__complete")
		if _, err := exec.LookPath(check[0]); err != nil {
			continue // only bash is on every machine
		}
		cmd := exec.Command(check[0], check[1:]...)
		cmd.Stdin = strings.NewReader(script)
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, string(output))
	}
	for last, c := range map[string]struct{ words, want []string }{
		"a command":        {[]string{"con"}, []string{"convert"}},
		"a nested command": {[]string{"jobs", ""}, []string{"cancel", "events", "list", "retry", "rm", "show", "wait"}},
		"a flag":           {[]string{"convert", "x.docx", "--pdf"}, []string{"--pdf-a", "--pdf-ua"}},
		"a value":          {[]string{"convert", "--to", "p"}, []string{"pdf", "png", "ppt", "pptx"}},
		"a value after =":  {[]string{"convert", "--paper=l"}, []string{"--paper=legal", "--paper=letter"}},
		"a file":           {[]string{"convert", "x"}, nil},
	} {
		words := b.run(t, append([]string{"__complete", "--"}, c.words...)...).require(t, 0).stdout
		require.ElementsMatch(t, c.want, strings.Fields(words), last)
	}
}

func TestManual(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	page := b.run(t, "man").require(t, 0).stdout
	for _, text := range []string{`docmill convert`, `\-\-pdf\-a`, "EXIT STATUS", "DOCMILL_PASSWORD", `docmill jobs wait`} {
		require.Contains(t, page, text)
	}
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("groff is not installed")
	}
	cmd := exec.Command("groff", "-man", "-Tutf8", "-ww")
	cmd.Stdin = strings.NewReader(page)
	cmd.Stdout = io.Discard
	var warnings bytes.Buffer
	cmd.Stderr = &warnings
	require.NoError(t, cmd.Run())
	require.Empty(t, warnings.String())
}
