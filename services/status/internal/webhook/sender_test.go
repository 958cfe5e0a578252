package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/status/delivery"
	"github.com/docmill/docmill/services/status/internal/webhook"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // that of the example in the specification
	newSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

func configured(secrets string, allow ...string) webhook.Config {
	return webhook.Config{
		Secrets: config.NewSecret(secrets), Allow: allow, Ports: []uint16{80, 443}, Timeout: 30 * time.Second, Concurrency: 8, PerReceiver: 2, Retention: 336 * time.Hour,
	}
}

func newSender(t *testing.T, c webhook.Config, resolver *net.Resolver) *webhook.Sender {
	t.Helper()
	require.NoError(t, c.Validate())
	sender, err := webhook.NewSender(c, resolver)
	require.NoError(t, err)
	t.Cleanup(sender.Close)
	return sender
}

func deliveryTo(url string) delivery.Delivery {
	return delivery.Delivery{
		Key: delivery.Key{Job: uuid.MustParse("019a0000-0000-7000-8000-000000000001"), Generation: 2}, Event: "job.succeeded", URL: url,
		Payload: []byte(`{"type":"job.succeeded","data":{"id":"ü"}}`),
	}
}

// received is a webhook as its receiver sees it.
type received struct {
	header http.Header
	body   []byte
}

// receive serves with a handler until the test ends, and returns its URL and what it receives.
func receive(t *testing.T, answer http.HandlerFunc) (url string, calls chan received) {
	t.Helper()
	calls = make(chan received, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- received{r.Header, body}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// TestSignatures requires that a receiver can verify a webhook with the library of Standard Webhooks and with either of two
// secrets, and that the signature is what the specification says.
func TestSignatures(t *testing.T) {
	t.Parallel()
	url, calls := receive(t, answer(http.StatusNoContent))
	sender := newSender(t, configured(newSecret+"\n"+oldSecret, "127.0.0.1"), nil)
	d := deliveryTo(url + "/hook?token=x")
	attempt, err := sender.Send(t.Context(), d)
	require.NoError(t, err)
	require.Empty(t, attempt.Fault)
	require.Equal(t, http.StatusNoContent, attempt.StatusCode)
	require.Positive(t, attempt.Duration)
	require.WithinDuration(t, time.Now(), attempt.StartedAt, time.Minute)

	call := <-calls
	require.Equal(t, d.Payload, call.body)
	require.Equal(t, "application/json", call.header.Get("Content-Type"))
	require.Contains(t, call.header.Get("User-Agent"), "Docmill")
	require.Equal(t, "msg_019a0000000070008000000000000001_2", call.header.Get("Webhook-Id"))
	for _, secret := range []string{oldSecret, newSecret} {
		verifier, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, verifier.Verify(call.body, call.header))
		require.Error(t, verifier.Verify(append(call.body, ' '), call.header))
		require.Contains(t, strings.Fields(call.header.Get("Webhook-Signature")), signature(t, secret, call))
	}
	stranger, err := standardwebhooks.NewWebhook("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)))
	require.NoError(t, err)
	require.Error(t, stranger.Verify(call.body, call.header))
}

// signature computes the signature without the library.
func signature(t *testing.T, secret string, call received) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", call.header.Get("Webhook-Id"), call.header.Get("Webhook-Timestamp"), call.body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	target, _ := receive(t, func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	redirect := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, code) }
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   delivery.Attempt
	}{
		"200":                {answer(200), delivery.Attempt{StatusCode: 200}},
		"299":                {answer(299), delivery.Attempt{StatusCode: 299}},
		"301":                {redirect(301), delivery.Attempt{StatusCode: 301, Fault: delivery.Redirected}},
		"307":                {redirect(307), delivery.Attempt{StatusCode: 307, Fault: delivery.Redirected}},
		"308":                {redirect(308), delivery.Attempt{StatusCode: 308, Fault: delivery.Redirected}},
		"304":                {answer(304), delivery.Attempt{StatusCode: 304, Fault: delivery.Redirected}},
		"400":                {answer(400), delivery.Attempt{StatusCode: 400, Fault: delivery.Rejected}},
		"404":                {answer(404), delivery.Attempt{StatusCode: 404, Fault: delivery.Rejected}},
		"410":                {answer(410), delivery.Attempt{StatusCode: 410, Fault: delivery.Gone}},
		"500":                {answer(500), delivery.Attempt{StatusCode: 500, Fault: delivery.Rejected}},
		"503 with a time":    {busy("120"), delivery.Attempt{StatusCode: 503, Fault: delivery.Rejected, RetryAfter: 2 * time.Minute}},
		"503 with nonsense":  {busy("-1"), delivery.Attempt{StatusCode: 503, Fault: delivery.Rejected}},
		"503 in the past":    {busy("Mon, 02 Jan 2006 15:04:05 GMT"), delivery.Attempt{StatusCode: 503, Fault: delivery.Rejected}},
		"endless body":       {endless, delivery.Attempt{StatusCode: 200}},
		"huge headers":       {hugeHeaders, delivery.Attempt{Fault: delivery.NotConnected}},
		"broken connection":  {hangUp(""), delivery.Attempt{Fault: delivery.NotConnected}},
		"not HTTP":           {hangUp("SSH-2.0-OpenSSH\r\n"), delivery.Attempt{Fault: delivery.NotConnected}},
		"endless 100s":       {hangUp(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100)), delivery.Attempt{Fault: delivery.NotConnected}},
		"broken in the body": {hangUp("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"), delivery.Attempt{StatusCode: 200}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := receive(t, test.answer)
			attempt, err := newSender(t, configured(newSecret, "127.0.0.1"), nil).Send(t.Context(), deliveryTo(url+"/?token=secret"))
			require.Equal(t, test.want.Fault == "", err == nil, "%v", err)
			attempt.StartedAt, attempt.Duration = time.Time{}, 0
			require.Equal(t, test.want, attempt)
			if err != nil {
				require.NotContains(t, err.Error(), "token", "a URL may contain a secret")
			}
		})
	}
	t.Cleanup(func() { require.Zero(t, followed.Load(), "redirects are not followed") })
}

func busy(retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

func hugeHeaders(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Huge", strings.Repeat("x", 1<<20))
}

// hangUp answers with some bytes and closes the connection.
func hangUp(bytes string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, bytes)
		_ = conn.Close()
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	c := configured(newSecret, "127.0.0.1")
	c.Timeout = time.Second
	hanging, _ := receive(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	trickling, _ := receive(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil { // an answer that never ends, byte by byte
			_, _ = w.Write([]byte{'x'})
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(10 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	encrypted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(encrypted.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	for url, want := range map[string]delivery.Fault{
		hanging:                             delivery.TimedOut,
		trickling:                           "", // the status says that it was accepted
		"http://" + silent.Addr().String():  delivery.TimedOut,
		"https://" + silent.Addr().String(): delivery.TimedOut,
		"http://" + closed.Addr().String():  delivery.NotConnected,
		encrypted.URL:                       delivery.Untrusted,
		strings.Replace(plain.URL, "http", "https", 1): delivery.NotConnected,
		"http://127.0.0.1:0x/":                         delivery.Malformed,
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			attempt, err := newSender(t, c, nil).Send(t.Context(), deliveryTo(url))
			require.Equal(t, want, attempt.Fault, "%v", err)
			require.Less(t, attempt.Duration, 10*time.Second)
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for secrets, want := range map[string]string{
		"":                                   "",
		oldSecret:                            "",
		oldSecret + " \n" + newSecret + "\n": "",
		oldSecret + "\n" + newSecret + "\n" + oldSecret: "3 secrets",
		strings.TrimPrefix(oldSecret, "whsec_"):         "secret 1",
		oldSecret + "\nwhsec_c2hvcnQ=":                  "secret 2",
		"whsec_%%%":                                     "secret 1",
	} {
		err := configured(secrets).Validate()
		if want == "" {
			require.NoError(t, err, "%q", secrets)
			continue
		}
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	}
	require.False(t, configured("").Enabled())
	require.True(t, configured(oldSecret).Enabled())
	require.NoError(t, configured(oldSecret, "10.0.0.0/8", "192.0.2.7", "::1", "fd00::/8", "hooks", "Hooks.internal", "*.svc.cluster.local").Validate())
	for _, invalid := range []string{"", "10.0.0.0/33", "10.0.0", "1.2.3.4:80", "http://hooks", "*", "*hooks", "a*b", "hooks:80", "*..a"} {
		require.ErrorContains(t, configured(oldSecret, invalid).Validate(), "webhook-allow", "%q", invalid)
	}
	wrong := configured(oldSecret)
	wrong.Timeout, wrong.Concurrency, wrong.PerReceiver, wrong.Retention = 0, 0, 0, time.Hour
	for _, name := range []string{"timeout", "concurrency", "per-receiver", "retention"} {
		require.ErrorContains(t, wrong.Validate(), "webhook-"+name)
	}
}
