package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/docmill/docmill/platform/buildinfo"
	"github.com/docmill/docmill/services/status/delivery"
)

const (
	// maxAnswer is how many bytes of a response are read, so that its connection can be used again. They are discarded.
	maxAnswer = 16 << 10
	// maxHeaders limits the headers of a response, in bytes.
	maxHeaders = 32 << 10
	// idleTimeout is how long a connection waits for the next webhook.
	idleTimeout = 30 * time.Second
)

// Sender sends webhooks. It is safe for concurrent use.
type Sender struct {
	signers []*standardwebhooks.Webhook
	client  *http.Client
	timeout time.Duration
}

// NewSender returns a sender. The configuration must be valid and have a secret. resolver resolves names; nil means the default one.
func NewSender(config Config, resolver *net.Resolver) (*Sender, error) {
	secrets, err := parseSecrets(config.Secrets)
	if err != nil {
		return nil, err
	}
	if len(secrets) == 0 {
		return nil, errors.New("there is no secret to sign webhooks with")
	}
	allow, err := parseAllowed(config.Allow)
	if err != nil {
		return nil, err
	}
	s := &Sender{timeout: config.Timeout, client: &http.Client{
		Transport: &http.Transport{
			Proxy:       nil, // a proxy would connect instead of this process, to any address
			DialContext: guarded(allow, config.Ports, resolver), TLSHandshakeTimeout: config.Timeout,
			MaxIdleConns: config.Concurrency, MaxIdleConnsPerHost: 1, IdleConnTimeout: idleTimeout,
			MaxResponseHeaderBytes: maxHeaders, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, secret := range secrets {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, fmt.Errorf("read the secret of webhooks: %w", err)
		}
		s.signers = append(s.signers, signer)
	}
	return s, nil
}

// Close closes idle connections.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// Send makes one attempt. It returns the outcome and, for the log, the reason of a failure.
func (s *Sender) Send(ctx context.Context, d delivery.Delivery) (delivery.Attempt, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	attempt, err := s.post(ctx, d, began)
	attempt.StartedAt, attempt.Duration = began.UTC().Truncate(time.Microsecond), time.Since(began).Truncate(time.Microsecond)
	return attempt, err
}

func (s *Sender) post(ctx context.Context, d delivery.Delivery, at time.Time) (delivery.Attempt, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Payload))
	if err != nil {
		return delivery.Attempt{Fault: delivery.Malformed}, errors.New("the URL cannot be used") // err contains it
	}
	signature, err := s.sign(d, at)
	if err != nil {
		return delivery.Attempt{Fault: delivery.Malformed}, err
	}
	request.Header = http.Header{
		"Content-Type": {"application/json"},
		"User-Agent":   {strings.TrimSpace("Docmill/" + buildinfo.Version())},
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookID):        {d.ID()},
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookTimestamp): {strconv.FormatInt(at.Unix(), 10)},
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookSignature): {signature},
	}
	response, err := s.client.Do(request)
	if err != nil {
		return delivery.Attempt{Fault: faultOf(err)}, opaque(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // the status alone decides
	return judge(response)
}

// sign returns the signatures with all secrets: a receiver accepts the one that it can verify.
func (s *Sender) sign(d delivery.Delivery, at time.Time) (string, error) {
	signatures := make([]string, len(s.signers))
	for i, signer := range s.signers {
		var err error
		if signatures[i], err = signer.Sign(d.ID(), at, d.Payload); err != nil {
			return "", fmt.Errorf("sign a webhook: %w", err)
		}
	}
	return strings.Join(signatures, " "), nil
}

func judge(response *http.Response) (delivery.Attempt, error) {
	attempt := delivery.Attempt{StatusCode: response.StatusCode, RetryAfter: retryAfter(response.Header.Get("Retry-After"))}
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return attempt, nil
	case code == http.StatusGone:
		attempt.Fault = delivery.Gone
	case code >= 300 && code < 400:
		attempt.Fault = delivery.Redirected
	default:
		attempt.Fault = delivery.Rejected
	}
	return attempt, fmt.Errorf("the receiver answered %d", response.StatusCode)
}

// retryAfter parses a Retry-After header, in seconds or as a date. It returns 0 if there is none.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 24); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// faultOf classifies the error of a request that has no response.
func faultOf(err error) delivery.Fault {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var network net.Error
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrProhibitedPort), errors.As(err, &name):
		return delivery.Unreachable
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert):
		return delivery.Untrusted
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return delivery.TimedOut
	default:
		return delivery.NotConnected
	}
}

// opaque removes the URL from the error of a request: it may contain a token, and errors are logged.
func opaque(err error) error {
	if request, ok := errors.AsType[*url.Error](err); ok {
		return request.Err
	}
	return err
}
