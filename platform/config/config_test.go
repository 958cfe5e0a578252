package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/config"
)

type settings struct {
	Broker struct {
		URL      string        `name:"url" default:"amqp://127.0.0.1:5672/" help:"Where the broker is."`
		Password config.Secret `name:"password-file" help:"Password of the broker."`
	} `embed:"" prefix:"broker-"`
	Wait  time.Duration `default:"30s" help:"How long to wait."`
	Limit config.Size   `default:"512MiB" help:"Largest upload."`
	Level string        `enum:"info,debug" default:"info" help:"What to log."`
}

func parse(t *testing.T, environ []string, args ...string) (settings, string, error) {
	t.Helper()
	var out bytes.Buffer
	var s settings
	err := config.Parse("docmill-test", "A test.", &s, config.Source{
		Args: args, Environ: environ, Stdout: &out, Exit: func(int) { panic(out.String()) },
	})
	return s, out.String(), err
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	s, _, err := parse(t, nil)
	require.NoError(t, err)
	require.Equal(t, "amqp://127.0.0.1:5672/", s.Broker.URL)
	require.Equal(t, 30*time.Second, s.Wait)
	require.Equal(t, config.Size(512<<20), s.Limit)
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	path := write(t, "wait: 1s\nlimit: 1KiB\nlevel: debug\nbroker-url: amqp://file/\n")
	s, _, err := parse(t, []string{"DOCMILL_LIMIT=2KiB", "DOCMILL_BROKER_URL=amqp://env/", "HOME=/"},
		"--config", path, "--broker-url=amqp://flag/")
	require.NoError(t, err)
	require.Equal(t, "amqp://flag/", s.Broker.URL, "flag over environment")
	require.Equal(t, config.Size(2<<10), s.Limit, "environment over file")
	require.Equal(t, time.Second, s.Wait, "file over default")
	require.Equal(t, "debug", s.Level)
}

func TestConfigFileFromEnvironment(t *testing.T) {
	t.Parallel()
	s, _, err := parse(t, []string{"DOCMILL_CONFIG=" + write(t, "wait: 2m")})
	require.NoError(t, err)
	require.Equal(t, 2*time.Minute, s.Wait)
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	path := write(t, "from the file\n")
	for name, c := range map[string]struct {
		environ, args []string
		want          string
	}{
		"environment":       {environ: []string{"DOCMILL_BROKER_PASSWORD=s3cret"}, want: "s3cret"},
		"file named by env": {environ: []string{"DOCMILL_BROKER_PASSWORD_FILE=" + path}, want: "from the file"},
		"file named by arg": {args: []string{"--broker-password-file", path}, want: "from the file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, err := parse(t, c.environ, c.args...)
			require.NoError(t, err)
			require.Equal(t, c.want, s.Broker.Password.Reveal())
			require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", s, s, s, s.Broker.Password), c.want)
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ, args []string
		want          string
	}{
		"unknown flag":        {args: []string{"--wiat=3s"}, want: "unknown flag --wiat"},
		"unknown variable":    {environ: []string{"DOCMILL_BROKER_ULR=x"}, want: "unknown environment variable DOCMILL_BROKER_ULR (see --help)"},
		"unknown in the file": {args: []string{"--config", write(t, "wiat: 3s")}, want: "unknown setting wiat"},
		"nested in the file":  {args: []string{"--config", write(t, "broker:\n  url: x")}, want: "unknown setting broker"},
		"not YAML":            {args: []string{"--config", write(t, "a: [")}, want: "is not a YAML mapping"},
		"no file":             {args: []string{"--config", "/nonexistent"}, want: "no such file"},
		"bad duration":        {environ: []string{"DOCMILL_WAIT=soon"}, want: "--wait"},
		"bad size":            {args: []string{"--limit=big"}, want: "write a number with an optional unit"},
		"bad choice":          {args: []string{"--level=loud"}, want: "--level must be one of"},
		"secret twice":        {environ: []string{"DOCMILL_BROKER_PASSWORD=a", "DOCMILL_BROKER_PASSWORD_FILE=b"}, want: "set twice"},
		"secret in argv":      {args: []string{"--broker-password=x"}, want: "unknown flag --broker-password"},
		"no secret file":      {args: []string{"--broker-password-file=/nonexistent"}, want: "read the secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := parse(t, c.environ, c.args...)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestHelpListsEverySetting(t *testing.T) {
	t.Parallel()
	var help string
	func() {
		defer func() { help, _ = recover().(string) }()
		_, _, _ = parse(t, nil, "--help")
	}()
	for _, want := range []string{"--broker-url", "$DOCMILL_BROKER_URL", "--wait", "512MiB", "$DOCMILL_BROKER_PASSWORD", "--config"} {
		require.Contains(t, help, want)
	}
}

// commands have a setting of their own each, and one that both have.
type commands struct {
	First struct {
		Data  string `default:"here"`
		Limit limit  `embed:""`
	} `cmd:""`
	Second struct {
		Data   string        `default:"there"`
		Secret config.Secret `name:"secret-file"`
	} `cmd:""`
}

// limit must not be 13.
type limit struct {
	Limit int `default:"1"`
}

// Validate implements config.Validator.
func (l limit) Validate() error {
	if l.Limit == 13 {
		return errors.New("setting limit: not 13")
	}
	return nil
}

func TestCommandsShareTheEnvironment(t *testing.T) {
	t.Parallel()
	parse := func(environ []string, args ...string) (commands, error) {
		var c commands
		_, err := config.ParseCommands("docmill-test", "A test.", &c, config.Source{Args: args, Environ: environ})
		return c, err
	}
	environ := []string{"DOCMILL_DATA=both", "DOCMILL_LIMIT=13", "DOCMILL_SECRET=s3cret"}
	c, err := parse(environ, "second")
	require.NoError(t, err, "a setting of another command is known, and not validated")
	require.Equal(t, "both", c.Second.Data)
	require.Equal(t, "s3cret", c.Second.Secret.Reveal())

	_, err = parse(environ, "first")
	require.ErrorContains(t, err, "not 13")
	c, err = parse(environ, "first", "--limit=2")
	require.NoError(t, err)
	require.Equal(t, 2, c.First.Limit.Limit)

	_, err = parse([]string{"DOCMILL_DATE=x"}, "first")
	require.ErrorContains(t, err, "DOCMILL_DATE")
	_, err = parse(nil, "first", "--secret-file=x")
	require.ErrorContains(t, err, "docmill-test first --help")
	_, err = parse(nil, "first", "--config", write(t, "secret-file: x\nlimit: 3\n"))
	require.NoError(t, err)
}
