package webhooks_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/webhooks"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/status/job"
)

const (
	secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	other  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// run runs a command and returns what it prints.
func run(t *testing.T, command func(streams *invocation.Streams) error) (string, error) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	failure := command(&invocation.Streams{Stdout: out})
	printed, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	return string(printed), failure
}

func TestVerify(t *testing.T) {
	t.Parallel()
	body := filepath.Join(t.TempDir(), "body.json")
	require.NoError(t, os.WriteFile(body, []byte(`{"type":"job.succeeded"}`), 0o600))
	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	signed := func(at time.Time) webhooks.Verify {
		signature, err := signer.Sign("msg_1", at, []byte(`{"type":"job.succeeded"}`))
		require.NoError(t, err)
		return webhooks.Verify{
			Body: body, Secrets: config.NewSecret(other + "\n" + secret), ID: "msg_1", Timestamp: strconv.FormatInt(at.Unix(), 10),
			Signature: "v1,AAAA " + signature, MaxAge: 5 * time.Minute,
		}
	}
	verify := func(c webhooks.Verify) (string, error) {
		if err := c.Validate(); err != nil {
			return "", &invocation.Error{Code: invocation.Usage, Err: err} // as main does
		}
		return run(t, func(streams *invocation.Streams) error { return c.Run(t.Context(), streams) })
	}
	printed, err := verify(signed(time.Now()))
	require.NoError(t, err)
	require.Contains(t, printed, "is genuine. It was signed with secret 2 at ")

	old := signed(time.Now().Add(-time.Hour))
	_, err = verify(old)
	require.ErrorContains(t, err, "differs from now by 1h")
	old.MaxAge = 0
	_, err = verify(old)
	require.NoError(t, err)

	for name, c := range map[string]struct {
		change func(c *webhooks.Verify)
		code   invocation.Code
		wants  []string
	}{
		"another id":     {func(c *webhooks.Verify) { c.ID = "msg_2" }, invocation.Failed, []string{"not genuine"}},
		"another secret": {func(c *webhooks.Verify) { c.Secrets = config.NewSecret(other) }, invocation.Failed, []string{"no signature"}},
		"no secret":      {func(c *webhooks.Verify) { c.Secrets = config.NewSecret("") }, invocation.Usage, []string{"is required"}},
		"no file":        {func(c *webhooks.Verify) { c.Body += "x" }, invocation.Unavailable, []string{"cannot be read", "no such file"}},
		"a directory":    {func(c *webhooks.Verify) { c.Body = t.TempDir() }, invocation.Unavailable, []string{"cannot be read"}},
		"all at once": {
			func(c *webhooks.Verify) {
				c.Secrets, c.Timestamp, c.MaxAge = config.NewSecret("whsec_%\n"+secret+"\nx%"), "now", -5*time.Minute
			},
			invocation.Usage,
			[]string{"secret 1 is not", "secret 3 is not", "number of seconds", "--max-age must be 0s or more, not -5m0s"},
		},
	} {
		given := signed(time.Now())
		c.change(&given)
		_, err := verify(given)
		code, _ := invocation.CodeOf(t.Context(), err)
		require.Equal(t, c.code, code, name)
		for _, want := range c.wants {
			require.ErrorContains(t, err, want, name)
		}
	}
}

func TestResend(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir, err := datadir.Open(t.Context(), path, zap.NewNop(), prometheus.NewRegistry())
	require.NoError(t, err)
	drain, ended := make(chan struct{}), make(chan error, 1)
	ready := make(chan struct{})
	go func() { ended <- dir.Jobs.Run(t.Context(), func() { close(ready) }, drain) }()
	<-ready
	id := uuid.Must(uuid.NewV7())
	_, err = dir.Jobs.Apply(t.Context(), []job.Event{
		job.Submitted{ID: job.ID(id), Submission: job.Submission{
			RequestedAt: time.Now(), ObjectKey: "k", Filename: "a.txt", Size: 1, SHA256: make([]byte, 32), TargetFormat: "pdf",
			Callback: &job.Callback{URL: "https://example.com/", Events: []string{"job.failed"}},
		}},
		job.Ended{ID: job.ID(id), Status: job.Failed, FinishedAt: time.Now(), Failure: &job.Failure{Code: "c"}},
	})
	require.NoError(t, err)
	close(drain)
	require.NoError(t, <-ended)
	require.NoError(t, dir.Close())

	resend := func(jobs ...string) (string, error) {
		return run(t, func(streams *invocation.Streams) error {
			return (&webhooks.Resend{Jobs: jobs, Data: path}).Run(t.Context(), streams)
		})
	}
	unknown := uuid.NewString()
	printed, err := resend(unknown, id.String())
	require.ErrorContains(t, err, unknown+" has no webhooks")
	require.Equal(t, "job "+id.String()+": 1 to be sent again\n", printed)
	err = (&webhooks.Resend{Jobs: []string{id.String(), "", "x"}}).Validate()
	require.EqualError(t, err, "\"\" is not the id of a job\n\"x\" is not the id of a job")
}
