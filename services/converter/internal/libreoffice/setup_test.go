package libreoffice

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/fonts"
	_ "github.com/docmill/docmill/services/converter/internal/libreoffice/zygote/probe" // see TestSandbox
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

const testdata = "../../../../testdata/"

// flowing is a number of pages that depends on the machine's fonts.
const flowing = 0

func defaults() Config {
	return Config{RecycleAge: time.Hour, RecycleConversions: 1 << 20, RecycleGrowth: 1 << 30}
}

// running is an Engine whose Run is running.
type running struct {
	*Engine

	directory string
	stop      func() error
	// fonts is the environment of programs that are to use the same fonts.
	fonts []string
}

// run starts an Engine with the font set and returns when it is ready.
func run(config Config) (running, error) { return runWith(config, fonts.Config{}) }

// runWith starts an Engine with other fonts.
func runWith(config Config, fontConfig fonts.Config) (r running, err error) {
	root, err := os.MkdirTemp("", "docmill-libreoffice-test-")
	if err != nil {
		return running{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(root))
		}
	}()
	directory := filepath.Join(root, "engine")
	if err := os.Mkdir(directory, 0o700); err != nil {
		return running{}, err
	}
	tools, err := pdf.FindTools()
	if err != nil {
		return running{}, err
	}
	office, err := FontDirectory(config)
	if err != nil {
		return running{}, err
	}
	set, err := fonts.Install(root, fontConfig, office)
	if err != nil {
		return running{}, err
	}
	limits := engine.Limits{Timeout: 10 * time.Minute, Memory: 2 << 30, Disk: 2 << 30}
	e, err := New(config, limits, Deps{Tools: tools, Directory: directory, Fonts: set, Log: zap.NewNop(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		return running{}, err
	}
	ready, drain, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { ended <- e.Run(context.Background(), func() { close(ready) }, drain) }()
	select {
	case <-ready:
	case err := <-ended:
		return running{}, err
	}
	stop := sync.OnceValue(func() error {
		close(drain)
		return errors.Join(<-ended, os.Remove(directory), os.RemoveAll(root)) // Remove fails if anything is left
	})
	return running{e, directory, stop, set.Environment()}, nil
}

// shared is one Engine for all tests that do not disturb it: a start takes seconds.
var shared = sync.OnceValues(func() (running, error) {
	wanted.Store(true)
	return run(defaults())
})

// wanted is set once a test has used the shared Engine.
var wanted atomic.Bool

func TestMain(m *testing.M) {
	code := m.Run()
	if wanted.Load() {
		if common, err := shared(); err == nil {
			if err := common.stop(); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(code)
}

// setup returns the shared Engine, with limits of its own.
func setup(t *testing.T, change func(*engine.Limits)) *Engine {
	t.Helper()
	common, err := shared()
	require.NoError(t, err)
	own := *common.Engine
	if change != nil {
		change(&own.limits)
	}
	return &own
}

// setupOwn returns an Engine that only the test uses.
func setupOwn(t *testing.T, change func(*Config)) running {
	t.Helper()
	config := defaults()
	if change != nil {
		change(&config)
	}
	own, err := run(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, own.stop()) })
	return own
}

// watchStarts returns a channel that receives the process id of each child that e starts from now on.
func watchStarts(e *Engine) <-chan int {
	pids := make(chan int, 1000)
	e.onStart = func(_ string, pid int) { pids <- pid }
	return pids
}

// requestFor puts a document into a directory of its own, as package conversion does.
func requestFor(t testing.TB, content []byte, id string) engine.Request {
	t.Helper()
	format, found := format.ByID(id)
	require.True(t, found, id)
	target, found := format.Target("pdf")
	require.True(t, found)
	directory := t.TempDir()
	source := filepath.Join(directory, "document."+id)
	require.NoError(t, os.WriteFile(source, content, 0o600))
	return engine.Request{Directory: directory, Source: source, Format: format, Target: target}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(testdata + name)
	require.NoError(t, err)
	return content
}

func requireCode(t *testing.T, err error, code problem.Code) {
	t.Helper()
	var failure *problem.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, code, failure.Code, "%v", err)
}

// pdfText returns the text of a PDF.
func pdfText(t *testing.T, path string) string {
	t.Helper()
	text, err := exec.Command("pdftotext", path, "-").Output()
	require.NoError(t, err)
	return string(text)
}
