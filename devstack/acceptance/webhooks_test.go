package acceptance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

const webhookSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// webhook is a webhook as its receiver sees it.
type webhook struct {
	header http.Header
	body   struct {
		Type string     `json:"type"`
		Data client.Job `json:"data"`
	}
}

// receiver is a receiver of webhooks. It answers each with the next of its answers, and then with 204.
type receiver struct {
	url      string
	received chan webhook
}

func newReceiver(t *testing.T, answers ...func(w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	require.NoError(t, err)
	all := &receiver{received: make(chan webhook, 100)}
	next := make(chan func(http.ResponseWriter, *http.Request), len(answers))
	for _, answer := range answers {
		next <- answer
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		one := webhook{header: r.Header}
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Errorf("a webhook is not genuine: %v", err)
		}
		if err := json.Unmarshal(body, &one.body); err != nil {
			t.Error(err)
		}
		all.received <- one
		select {
		case answer := <-next:
			answer(w, r)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(server.Close)
	all.url = server.URL
	return all
}

// next waits for the next webhook.
func (r *receiver) next(t *testing.T, b *testBundle) webhook {
	t.Helper()
	select {
	case one := <-r.received:
		return one
	case <-b.ctx.Done():
		require.Fail(t, "no webhook arrives")
		return webhook{}
	}
}

// withWebhooks starts a Docmill that sends webhooks to this machine, with additional settings for its gateway.
func withWebhooks(t *testing.T, on edition, gateway ...string) *testBundle {
	t.Helper()
	settings := []string{"DOCMILL_WEBHOOK_SECRET=" + webhookSecret, "DOCMILL_WEBHOOK_ALLOW=127.0.0.1", "DOCMILL_WEBHOOK_TIMEOUT=2s"}
	if on == embedded {
		return startEmbedded(t, filepath.Join(t.TempDir(), "data"), append(settings, gateway...)...)
	}
	return start(t, services, system.Options{Space: testbench.New(t).Space, Env: map[string][]string{
		system.Status: settings, system.Gateway: append(gateway, "DOCMILL_WEBHOOKS=true"),
	}})
}

// TestWebhooks requires that the ends of jobs are reported, also if the process that reports them is killed meanwhile.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	forBoth(t, testWebhooks)
}

func testWebhooks(t *testing.T, on edition) {
	t.Helper()
	b := withWebhooks(t, on)
	killed := make(chan struct{})
	r := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-killed:
		case <-r.Context().Done():
		}
	})
	job, err := b.submitWith("synth-letter.txt", map[string]string{"callback_url": r.url + "/hook", "tag": "mine"})
	require.NoError(t, err)
	first := r.next(t, b)
	require.Equal(t, "job.succeeded", first.body.Type)
	require.Equal(t, job.ID, first.body.Data.ID)
	require.Equal(t, "mine", first.body.Data.Tag)
	require.NotEmpty(t, first.body.Data.Result.SHA256)

	require.NoError(t, b.system.Status.Kill())
	close(killed)
	require.NoError(t, b.system.Status.Start(b.ctx))
	again := r.next(t, b)
	require.Equal(t, first.header.Get("Webhook-Id"), again.header.Get("Webhook-Id"))
	require.Equal(t, first.body, again.body)
	delivered := b.deliveries(t, job, client.DeliveryDelivered)
	require.Equal(t, first.header.Get("Webhook-Id"), delivered.ID)
	require.Equal(t, "127.0.0.1", delivered.Receiver)
	require.Equal(t, http.StatusNoContent, delivered.Attempts[len(delivered.Attempts)-1].StatusCode)

	failing, err := b.submitWith("synth-all-hidden.pptx", map[string]string{"callback_url": r.url, "callback_events": "job.failed"})
	require.NoError(t, err)
	require.Equal(t, string(client.CodeDocumentEmpty), string(r.next(t, b).body.Data.Failure.Code))
	b.deliveries(t, failing, client.DeliveryDelivered)
	silent, err := b.submitWith("synth-letter.txt", map[string]string{"callback_url": r.url, "callback_events": "job.failed"})
	require.NoError(t, err)
	b.succeed(t, silent)
	require.Empty(t, b.listDeliveries(t, silent))
	require.Empty(t, r.received)
}

// deliveries waits until the only webhook about a job has that status.
func (b *testBundle) deliveries(t *testing.T, job client.Job, status client.DeliveryStatus) client.Delivery {
	t.Helper()
	for {
		listed := b.listDeliveries(t, job)
		if len(listed) == 1 && listed[0].Status == status {
			return listed[0]
		}
	}
}

func (b *testBundle) listDeliveries(t *testing.T, job client.Job) []client.Delivery {
	t.Helper()
	listed, err := b.client.Deliveries(b.ctx, job.ID)
	require.NoError(t, err)
	return listed
}

// TestWebhooksAreOff requires that a Docmill without a secret accepts no callback.
func TestWebhooksAreOff(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, on edition) {
		b := setup(t, on)
		_, err := b.submitWith("synth-letter.txt", map[string]string{"callback_url": "https://example.com/"})
		require.True(t, client.IsCode(err, client.CodeOptionInvalid), "%v", err)
	})
}
