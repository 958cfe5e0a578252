package client_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

func TestSubmissionIsRepeatedFromTheBeginning(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deck.pptx")
	require.NoError(t, os.WriteFile(path, []byte("the deck"), 0o600))
	c := faulty(t, refuse(503, client.CodeBusy), refuse(408, client.CodeUploadTooSlow), refuse(400, client.CodeUploadInterrupted), accept(t, "the deck"))
	var sent []int64
	job, err := c.SubmitFile(t.Context(), path, client.WithProgress(func(n, total int64) {
		check(t, total == 8, "the size is %d", total)
		sent = append(sent, n)
	}))
	require.NoError(t, err)
	require.Equal(t, "deck.pptx", job.Source.Filename)
	require.Equal(t, []int64{8, 8, 8, 8}, sent)
}

func TestSubmissionStartsAtThePositionOfTheReader(t *testing.T) {
	t.Parallel()
	document := strings.NewReader("skipped, the deck")
	_, err := document.Seek(9, io.SeekStart)
	require.NoError(t, err)
	c := faulty(t, refuse(503, client.CodeStoreUnavailable), accept(t, "the deck"))
	_, err = c.Submit(t.Context(), "deck.pptx", document, 8)
	require.NoError(t, err)
}

func TestStreamIsSentOnce(t *testing.T) {
	t.Parallel()
	stream := func() io.Reader { return io.MultiReader(strings.NewReader("the "), strings.NewReader("deck")) }
	_, err := faulty(t, accept(t, "the deck")).Submit(t.Context(), "deck.pptx", stream(), client.UnknownSize)
	require.NoError(t, err)
	_, err = faulty(t, refuse(503, client.CodeBusy)).Submit(t.Context(), "deck.pptx", stream(), client.UnknownSize)
	require.True(t, client.IsCode(err, client.CodeBusy), "it cannot be read again")
}

// keys collects the Idempotency-Keys of submissions.
type keys []string

func (k *keys) of(next step) step {
	return func(w http.ResponseWriter, r *http.Request) {
		*k = append(*k, r.Header.Get("Idempotency-Key"))
		next(w, r)
	}
}

// TestUncertainSubmissionIsRepeatedUnderItsKey: the document may have been accepted each time.
func TestUncertainSubmissionIsRepeatedUnderItsKey(t *testing.T) {
	t.Parallel()
	cutAtTheEnd := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cut(w, r)
	}
	var sent keys
	c := faulty(t, sent.of(refuse(503, client.CodeQueueUnconfirmed)), sent.of(cutAtTheEnd), sent.of(refuse(500, client.CodeInternal)),
		sent.of(refuse(502, "")), sent.of(accept(t, "the deck")), sent.of(accept(t, "the deck")))
	for range 2 {
		_, err := c.Submit(t.Context(), "deck.pptx", strings.NewReader("the deck"), 8)
		require.NoError(t, err)
	}
	require.Len(t, sent, 6)
	require.Len(t, sent[0], 28, "26 random characters and quotes")
	for _, key := range sent[:5] {
		require.Equal(t, sent[0], key)
	}
	require.NotEqual(t, sent[0], sent[5], "another submission has another key")
}

func TestKeyOfTheCaller(t *testing.T) {
	t.Parallel()
	var sent keys
	c := faulty(t, sent.of(accept(t, "the deck")), sent.of(refuse(422, client.CodeIdempotencyKeyReused)))
	submit := func() error {
		_, err := c.Submit(t.Context(), "deck.pptx", strings.NewReader("the deck"), 8, client.WithIdempotencyKey(`invoice "7"`))
		return err
	}
	require.NoError(t, submit())
	require.True(t, client.IsCode(submit(), client.CodeIdempotencyKeyReused), "it is not repeated")
	require.Equal(t, keys{`"invoice \"7\""`, `"invoice \"7\""`}, sent)
}

// TestUnconfirmedJobIsLookedFor has a document that cannot be sent again. Its job may be recorded a little later.
func TestUnconfirmedJobIsLookedFor(t *testing.T) {
	t.Parallel()
	unconfirmed := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"code":"queue-unconfirmed","job":"1"}`)
	}
	at := func(next step) step {
		return func(w http.ResponseWriter, r *http.Request) {
			check(t, r.Method == http.MethodGet && r.URL.Path == "/v1/jobs/1", "%s %s", r.Method, r.URL)
			next(w, r)
		}
	}
	missing := at(refuse(404, client.CodeJobNotFound))
	c := faulty(t, unconfirmed, missing, at(state(client.Running)))
	stream := func() io.Reader { return io.MultiReader(strings.NewReader("the deck")) }
	job, err := c.Submit(t.Context(), "deck.pptx", stream(), 8)
	require.NoError(t, err)
	require.Equal(t, client.Running, job.Status)

	_, err = faulty(t, unconfirmed, missing, missing, missing, missing).Submit(t.Context(), "deck.pptx", stream(), 8)
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeQueueUnconfirmed, problem.Code)
	require.Equal(t, "1", problem.Job, "the caller may look for it later")
}

func TestSubmissionCutInTheMiddleIsRepeated(t *testing.T) {
	t.Parallel()
	document := strings.Repeat("the deck", 1<<20)
	cutInTheMiddle := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		cut(w, r)
	}
	_, err := faulty(t, cutInTheMiddle, accept(t, document)).Submit(t.Context(), "deck.pptx", strings.NewReader(document), int64(len(document)))
	require.NoError(t, err)
}

func TestOptionsPrecedeTheDocument(t *testing.T) {
	t.Parallel()
	names := func(w http.ResponseWriter, r *http.Request) {
		form, err := r.MultipartReader()
		check(t, err == nil, "%v", err)
		for _, want := range []string{"pages", "password", "file"} {
			part, err := form.NextPart()
			if check(t, err == nil, "%v", err) {
				check(t, part.FormName() == want, "%s instead of %s", part.FormName(), want)
			}
		}
		_, err = form.NextPart()
		check(t, errors.Is(err, io.EOF), "%v", err)
		_, _ = io.WriteString(w, jobJSON(client.Queued))
	}
	_, err := faulty(t, names).Submit(t.Context(), "deck.pptx", strings.NewReader("the deck"), 8,
		client.WithOptions(map[string]string{"password": "secret", "pages": "1"}))
	require.NoError(t, err)
}
