// Package webhooks implements `docmill webhooks`.
package webhooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/platform/config"
)

// Commands are those of `docmill webhooks`.
type Commands struct {
	Verify Verify `cmd:"" help:"Verify the signature of a received webhook."`
	Resend Resend `cmd:"" help:"Send the webhooks of jobs again. No process may be using their data directory."`
}

// Verify is `docmill webhooks verify`.
//
//nolint:lll // kong's tags cannot be wrapped
type Verify struct {
	Body      string        `arg:"" optional:"" default:"-" help:"File with the body of the webhook, exactly as it was received. Default: standard input."`
	Secrets   config.Secret `name:"webhook-secret-file" help:"File with the secret of the server, or with two, one per line." placeholder:"FILE"`
	ID        string        `name:"id" required:"" placeholder:"ID" help:"The webhook-id header."`
	Timestamp string        `name:"timestamp" required:"" placeholder:"SECONDS" help:"The webhook-timestamp header."`
	Signature string        `name:"signature" required:"" placeholder:"SIGNATURE" help:"The webhook-signature header."`
	MaxAge    time.Duration `default:"5m" help:"Maximum difference between the timestamp and now; 0s accepts any. Receivers should use 5m, so that nobody can replay a webhook later."`
}

// maxBody is far above the size of a webhook, in bytes.
const maxBody = 1 << 20

// Help is shown by --help.
func (*Verify) Help() string {
	return `This helps when you write a receiver: save the body and the headers of a webhook, and check that both give the same result.

    docmill webhooks verify --webhook-secret-file=secret --id=msg_0198... --timestamp=1772366400 --signature=v1,... body.json

Exit codes: 0 the webhook is genuine, 1 it is not or is too old, 2 the command line is wrong, 3 the body cannot be read.`
}

// Validate checks the command line.
func (c *Verify) Validate() error {
	var faults []error
	if c.MaxAge < 0 {
		faults = append(faults, fmt.Errorf("--max-age must be 0s or more, not %s", c.MaxAge))
	}
	if _, err := c.signedAt(); err != nil {
		faults = append(faults, err)
	}
	if _, err := c.verifiers(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// Run runs the command.
func (c *Verify) Run(_ context.Context, streams *invocation.Streams) error {
	verifiers, err := c.verifiers()
	if err != nil {
		return err
	}
	at, err := c.signedAt()
	if err != nil {
		return err
	}
	body, err := c.read(streams.Stdin)
	if err != nil {
		return invocation.Errorf(invocation.Unavailable, "the body cannot be read: %w", err)
	}
	if len(body) > maxBody {
		return fmt.Errorf("the body has more than %d bytes: it is not a webhook of Docmill", maxBody)
	}
	if age := time.Since(at).Abs(); c.MaxAge > 0 && age > c.MaxAge {
		return fmt.Errorf("the timestamp differs from now by %s, more than --max-age (%s)", age.Round(time.Second), c.MaxAge)
	}
	header := http.Header{}
	header.Set(standardwebhooks.HeaderWebhookID, c.ID)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, c.Timestamp)
	header.Set(standardwebhooks.HeaderWebhookSignature, c.Signature)
	for i, verifier := range verifiers {
		if verifier.VerifyIgnoringTimestamp(body, header) == nil {
			fmt.Fprintf(streams.Stdout, "The webhook is genuine. It was signed with secret %d at %s.\n", i+1, at.UTC().Format(time.RFC3339))
			return nil
		}
	}
	return errors.New("the webhook is not genuine: no signature fits the id, the timestamp, the body and the secret; " +
		"the body must have exactly the bytes that were received, not reformatted JSON")
}

// verifiers returns a verifier for each secret.
func (c *Verify) verifiers() ([]*standardwebhooks.Webhook, error) {
	secrets := strings.Fields(c.Secrets.Reveal())
	if len(secrets) == 0 {
		return nil, errors.New("--webhook-secret-file or DOCMILL_WEBHOOK_SECRET is required")
	}
	verifiers := make([]*standardwebhooks.Webhook, len(secrets))
	var faults []error
	for i, secret := range secrets {
		var err error
		if verifiers[i], err = standardwebhooks.NewWebhook(secret); err != nil {
			faults = append(faults, fmt.Errorf("secret %d is not whsec_ followed by bytes in base64", i+1)) // err may contain a part of the secret
		}
	}
	return verifiers, errors.Join(faults...)
}

// signedAt returns the time of the signature.
func (c *Verify) signedAt() (time.Time, error) {
	seconds, err := strconv.ParseInt(c.Timestamp, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("--timestamp is not a number of seconds since 1970")
	}
	return time.Unix(seconds, 0), nil
}

// read returns the body, or more than maxBody bytes if it is longer.
func (c *Verify) read(stdin io.Reader) ([]byte, error) {
	source := stdin
	if c.Body != "-" {
		file, err := os.Open(c.Body)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		source = file
	}
	return io.ReadAll(io.LimitReader(source, maxBody+1))
}

// Resend is `docmill webhooks resend`.
type Resend struct {
	Jobs []string `arg:"" name:"job" help:"The ids of the jobs."`
	Data string   `default:"~/.local/share/docmill" type:"path" placeholder:"DIR" help:"Data directory. No process may be using it. Default: ~/.local/share/docmill."`
}

// Help is shown by --help.
func (*Resend) Help() string {
	return `When docmill serve is started the next time, it sends all webhooks of these jobs again, with the same ids. With the three services,
use docmill-status webhooks resend, which needs no restart.`
}

// Validate checks the ids.
func (c *Resend) Validate() error { return invocation.CheckJobIDs(c.Jobs...) }

// Run runs the command.
func (c *Resend) Run(ctx context.Context, streams *invocation.Streams) error {
	ids := make([]uuid.UUID, len(c.Jobs))
	for i, job := range c.Jobs {
		ids[i] = uuid.MustParse(job)
	}
	dir, err := datadir.OpenToRead(ctx, c.Data)
	if err != nil {
		return err
	}
	return errors.Join(resend(ctx, dir, ids, streams.Stdout), dir.Close())
}

func resend(ctx context.Context, dir *datadir.Dir, ids []uuid.UUID, out io.Writer) error {
	var missing []error
	for _, id := range ids {
		resent, err := dir.Jobs.ResendDeliveries(ctx, id)
		if err != nil {
			return err
		}
		if resent == 0 {
			missing = append(missing, fmt.Errorf("job %s has no webhooks, or they were deleted", id))
			continue
		}
		fmt.Fprintf(out, "job %s: %d to be sent again\n", id, resent)
	}
	return errors.Join(missing...)
}
