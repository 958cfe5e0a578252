package httpapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestSubmission(t *testing.T) {
	t.Parallel()
	content := sample(t, deck)
	for name, send := range map[string]func(g *gateway, t *testing.T) reply{
		"form": func(g *gateway, t *testing.T) reply {
			return g.form(t, "C:\\decks\\Préséntation 🎉.pptx", bytes.NewReader(content), "to", "pdf", "tag", "réf 7")
		},
		"raw": func(g *gateway, t *testing.T) reply {
			header := http.Header{"Content-Disposition": {"attachment; filename=x.pptx; filename*=UTF-8''Pr%C3%A9s%C3%A9ntation%20%F0%9F%8E%89.pptx"}}
			return g.request(t, http.MethodPost, "/v1/jobs?to=pdf&tag=r%C3%A9f+7", header, bytes.NewReader(content))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t)
			answer := send(g, t)
			accepted := answer.job(t, http.StatusAccepted)

			id, err := uuid.Parse(accepted.ID)
			require.NoError(t, err)
			require.Equal(t, uuid.Version(7), id.Version())
			require.Equal(t, "/v1/jobs/"+accepted.ID, answer.Header.Get("Location"))
			require.Equal(t, "1", answer.Header.Get("Retry-After"))
			require.WithinDuration(t, time.Now(), accepted.CreatedAt, time.Minute)
			require.Equal(t, jobapi.Job{
				ID: accepted.ID, Status: jobapi.Queued, CreatedAt: accepted.CreatedAt,
				Source: jobapi.Source{Filename: "Préséntation 🎉.pptx", ContentType: deckType, Size: int64(len(content)), SHA256: sha256Of(content)},
				Target: jobapi.Target{Format: "pdf", Options: map[string]any{}}, Tag: "réf 7",
				Links: jobapi.Links{Self: "/v1/jobs/" + accepted.ID, Events: "/v1/jobs/" + accepted.ID + "/events"},
			}, accepted)

			message, delivery := g.queued(t)
			require.NoError(t, uuid.Validate(message.GetSubmissionId()))
			require.NotEqual(t, accepted.ID, message.GetSubmissionId(), "a repeated submission has another one")
			require.True(t, proto.Equal(&conversionv1.ConvertRequested{
				JobId: accepted.ID, SubmissionId: message.GetSubmissionId(), RequestedAt: message.GetRequestedAt(), Tag: "réf 7",
				ExpiresAt: timestamppb.New(message.GetRequestedAt().AsTime().Add(time.Hour)),
				Source: &conversionv1.Source{
					ObjectKey: message.GetSubmissionId(), Filename: "Préséntation 🎉.pptx", Format: "pptx", ContentType: deckType,
					Size: int64(len(content)), Sha256: message.GetSource().GetSha256(),
				},
				Target: &conversionv1.Target{Format: "pdf"},
			}, message))
			require.True(t, message.GetRequestedAt().AsTime().Equal(accepted.CreatedAt))
			require.Equal(t, accepted.Source.SHA256, hex.EncodeToString(message.GetSource().GetSha256()))
			require.Equal(t, accepted.ID, delivery.CorrelationId)
			require.Contains(t, delivery.Headers, "traceparent")

			require.Equal(t, content, g.object(t, message.GetSource().GetObjectKey()))
			require.Equal(t, map[string]float64{"accepted": 1}, g.uploads(t))
		})
	}
}

// TestIDIsAsNewAsThePublication: the status service answers 404 for an unknown id that is minutes old, and an upload may take
// longer than that.
func TestIDIsAsNewAsThePublication(t *testing.T) {
	t.Parallel()
	g := setup(t)
	content := sample(t, "synth-letter.docx")
	body, upload := io.Pipe()
	var sent time.Time
	go func() {
		_, err := upload.Write(content[:len(content)/2])
		time.Sleep(20 * time.Millisecond) // ids have milliseconds
		sent = time.Now()
		if err == nil {
			_, err = upload.Write(content[len(content)/2:])
		}
		upload.CloseWithError(err)
	}()
	accepted := g.form(t, "a.docx", body).job(t, http.StatusAccepted)
	id, err := uuid.Parse(accepted.ID)
	require.NoError(t, err)
	require.False(t, time.Unix(id.Time().UnixTime()).Before(sent.Truncate(time.Millisecond)))
}

// TestOptionsAndSecrets: what was chosen is shown and queued as typed fields; what was entrusted is nowhere to be read.
func TestOptionsAndSecrets(t *testing.T) {
	t.Parallel()
	g := setup(t)
	content := sample(t, "gotenberg__protected_page_1.docx")
	options := []string{"pages", "1", "allow_printing", "low", "password", "open sesame", "user_password", "let me in"}
	accepted := g.form(t, "a.docx", bytes.NewReader(content), options...).job(t, http.StatusAccepted)
	require.Equal(t, map[string]any{"pages": "1", "allow_printing": "low"}, accepted.Target.Options)

	message, delivery := g.queued(t)
	require.Equal(t, "1", message.GetTarget().GetOptions().GetPages())
	require.Equal(t, conversionv1.Printing_PRINTING_LOW, message.GetTarget().GetOptions().GetAllowPrinting())
	for _, secret := range []string{"open sesame", "let me in"} {
		require.NotContains(t, string(delivery.Body), secret)
	}
	plain, err := g.box.Open(accepted.ID, message.GetTarget().GetSealedSecrets())
	require.NoError(t, err)
	secrets := &conversionv1.Secrets{}
	require.NoError(t, proto.Unmarshal(plain, secrets))
	require.Equal(t, "open sesame", secrets.GetPassword())
	require.Equal(t, "let me in", secrets.GetUserPassword())
}

// TestPasswordRequiredAtOnce: who forgot the password need not wait for a conversion to learn it.
func TestPasswordRequiredAtOnce(t *testing.T) {
	t.Parallel()
	g := setup(t)
	for _, name := range []string{"gotenberg__protected_page_1.docx", "unoserver__simple.encrypted.odt", "gembox.presentation.examples__PptxEncryption.pptx"} {
		g.form(t, name, bytes.NewReader(sample(t, name))).problem(t, problem.PasswordRequired)
	}
	g.requireNothingQueued(t)
	g.requireNothingStored(t)
}

// TestOptionsForOtherDocuments: an option is refused when the document turns out to be of a kind that it is not for.
func TestOptionsForOtherDocuments(t *testing.T) {
	t.Parallel()
	g := setup(t)
	p := g.form(t, "t.xlsx", bytes.NewReader(sample(t, "synth-table.xlsx")), "notes", "only", "paper", "a4").problem(t, problem.OptionInvalid)
	require.Len(t, p.Errors, 1)
	require.Equal(t, "notes", p.Errors[0].Name)
	g.requireNothingQueued(t)
}

// object reads a stored document.
func (g *gateway) object(t testing.TB, key string) []byte {
	t.Helper()
	object, err := g.objects.GetObject(t.Context(), g.bench.SourcesBucket, key, minio.GetObjectOptions{})
	require.NoError(t, err)
	content, err := io.ReadAll(object)
	require.NoError(t, err)
	return content
}

// TestSubmissionOfSizes goes through all ways to store: known before (the head is all), in one put of a known size, in
// parts of a known and of an unknown size.
func TestSubmissionOfSizes(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) { c.settings.Upload.MaxSize = 80 << 20 })
	const head = 256 << 10
	for _, size := range []int64{1, 4095, 4096, 4097, head - 1, head, head + 1, 5 << 20, 5<<20 + 1, 11 << 20, 65 << 20} {
		hash := sha256.New()
		answer := g.form(t, "a.txt", io.TeeReader(textOf(size), hash))
		accepted := answer.job(t, http.StatusAccepted)
		require.Equal(t, size, accepted.Source.Size)
		require.Equal(t, hex.EncodeToString(hash.Sum(nil)), accepted.Source.SHA256)
		g.requireStored(t, accepted)

		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/v1/jobs", io.NopCloser(textOf(size)))
		require.NoError(t, err)
		r.ContentLength = size
		r.Header.Set("Content-Disposition", `attachment; filename=a.txt`)
		again := g.do(t, r).job(t, http.StatusAccepted)
		require.Equal(t, accepted.Source, again.Source)
		g.requireStored(t, again)
	}
	require.Empty(t, g.incomplete(t))
}

// textOf returns a reader of a text of that many bytes.
func textOf(size int64) io.Reader { return io.LimitReader(lines{}, size) }

type lines struct{}

func (lines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "A line of plain text.\n"[i%22]
	}
	return len(p), nil
}

// requireStored compares what is stored with what the job says. The job must be the next one in the queue.
func (g *gateway) requireStored(t *testing.T, j jobapi.Job) {
	t.Helper()
	message, _ := g.queued(t)
	require.Equal(t, j.ID, message.GetJobId())
	object, err := g.objects.GetObject(t.Context(), g.bench.SourcesBucket, message.GetSource().GetObjectKey(), minio.GetObjectOptions{})
	require.NoError(t, err)
	hash := sha256.New()
	size, err := io.Copy(hash, object)
	require.NoError(t, err)
	require.Equal(t, j.Source.Size, size)
	require.Equal(t, j.Source.SHA256, hex.EncodeToString(hash.Sum(nil)))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const flatText = `<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"` +
		` office:mimetype="application/vnd.oasis.opendocument.text"/>`
	g := setup(t)
	png := sample(t, "synth-png-named.pptx")
	deck := sample(t, deck)
	big := func(content []byte) io.Reader { return io.MultiReader(bytes.NewReader(content), textOf(6<<20)) }
	for name, test := range map[string]struct {
		filename string
		content  io.Reader
		options  []string
		code     problem.Code
	}{
		"empty":                  {"a.pptx", strings.NewReader(""), nil, problem.FileEmpty},
		"too large":              {"a.txt", textOf(64<<20 + 1), nil, problem.FileTooLarge},
		"contradiction":          {"deck.pptx", bytes.NewReader(png), nil, problem.FileTypeContradicted},
		"large contradiction":    {"deck.pptx", big(png), nil, problem.FileTypeContradicted},
		"other family":           {"deck.docx", bytes.NewReader(deck), nil, problem.FileTypeContradicted},
		"unsupported":            {"film", strings.NewReader("\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska"), nil, problem.FormatUnsupported},
		"unrecognizable":         {"data", bytes.NewReader([]byte{1, 2, 3, 0, 0, 255, 254, 7}), nil, problem.FileUnrecognized},
		"cut off":                {"deck.pptx", bytes.NewReader(deck[:len(deck)/2]), nil, problem.DocumentMalformed},
		"large, not a container": {"deck.pptx", big(deck), nil, problem.DocumentMalformed},
		"entities in entities":   {"text.fodt", strings.NewReader(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "&b;"><!ENTITY b "&a;">]>` + flatText), nil, problem.DocumentTooComplex},
		"bad option":             {"deck.pptx", bytes.NewReader(deck), []string{"to", "gif"}, problem.OptionInvalid},
		"bad name":               {"", bytes.NewReader(deck), nil, problem.FileNameInvalid},
	} {
		t.Log(name)
		g.form(t, test.filename, test.content, test.options...).problem(t, test.code)
	}
	g.raw(t, "a.pptx", nil).problem(t, problem.FileEmpty)
	g.raw(t, "deck.pptx", png).problem(t, problem.FileTypeContradicted)
	g.request(t, http.MethodPost, "/v1/jobs", nil, strings.NewReader("text")).problem(t, problem.FileMissing)
	g.request(t, http.MethodPut, "/v1/jobs", nil, nil).problem(t, problem.MethodNotAllowed)
	g.request(t, http.MethodPost, "/v1/job", nil, nil).problem(t, problem.RouteNotFound)

	g.requireNothingStored(t)
	g.requireNothingQueued(t)
}

func TestRestOfTheFormIsCheckedBeforeAnythingStays(t *testing.T) {
	t.Parallel()
	g := setup(t)
	const edge = "edge"
	for name, size := range map[string]int64{"small": 100, "in parts": 12 << 20} {
		for kind, rest := range map[problem.Code]string{
			problem.OptionInvalid: "\r\n--edge\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\npdf\r\n--edge--\r\n",
			problem.FileRepeated:  "\r\n--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b.txt\"\r\n\r\nsecond\r\n--edge--\r\n",
			problem.FormInvalid:   "\r\n--edge\r\n",
		} {
			t.Log(name, kind)
			start := "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"
			body := io.MultiReader(strings.NewReader(start), textOf(size), strings.NewReader(rest))
			g.request(t, http.MethodPost, "/v1/jobs", http.Header{"Content-Type": {"multipart/form-data; boundary=" + edge}}, body).problem(t, kind)
		}
	}
	require.Len(t, g.tap.begun(), 3, "the large ones were being stored")
	g.requireNothingStored(t)
	g.requireNothingQueued(t)
}

func TestAnnouncedTooLargeIsRefusedBeforeTheBody(t *testing.T) {
	t.Parallel()
	g := setup(t)
	sent := false
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/v1/jobs", io.NopCloser(readerFunc(func(p []byte) (int, error) {
		sent = true
		return len(p), nil
	})))
	require.NoError(t, err)
	r.ContentLength = 64<<20 + 1
	r.Header.Set("Content-Disposition", "attachment; filename=a.txt")
	r.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: patience}}
	response, err := client.Do(r)
	require.NoError(t, err)
	answer := readReply(t, response).problem(t, problem.FileTooLarge)
	require.Contains(t, answer.Detail, "64 MiB")
	require.False(t, sent, "the server never asked for the body")
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRecordedJobIsAnswered(t *testing.T) {
	t.Parallel()
	g := setup(t)
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		assert.Regexp(t, `^/internal/jobs/[0-9a-f-]{36}/recorded$`, r.URL.Path)
		assert.Equal(t, "1.8s", r.URL.Query().Get("wait"))
		assert.NotEmpty(t, r.Header.Get("Traceparent"))
		writeJSON(w, jobapi.Job{ID: "as recorded", Status: jobapi.Running})
	})
	require.Equal(t, "as recorded", g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted).ID)
}

func TestRecordWaitIsBounded(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) { c.settings.RecordWait = 100 * time.Millisecond })
	g.status.handle(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) // a status that hangs
	require.Equal(t, jobapi.Queued, g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted).Status)
}

func TestStatusDownCostsNothing(t *testing.T) {
	t.Parallel()
	g := setup(t, func(c *choices) {
		c.settings.RecordWait = 24 * time.Hour // would be noticed
		c.statusURL = "http://127.0.0.1:1"
	})
	require.Equal(t, jobapi.Queued, g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted).Status)

	g = setup(t, func(c *choices) { c.settings.RecordWait = 24 * time.Hour })
	g.status.handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	require.Equal(t, jobapi.Queued, g.raw(t, deck, sample(t, deck)).job(t, http.StatusAccepted).Status)
}

func TestPreferWait(t *testing.T) {
	t.Parallel()
	g := setup(t)
	states := map[string]jobapi.Status{``: jobapi.Queued, `"1"`: jobapi.Running, `"2"`: jobapi.Succeeded}
	etags := map[string]string{``: `"1"`, `"1"`: `"2"`, `"2"`: `"3"`}
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		known := r.Header.Get("If-None-Match")
		if known != "" {
			assert.Regexp(t, `^wait=\d+$`, r.Header.Get("Prefer"))
		}
		w.Header().Set("ETag", etags[known])
		writeJSON(w, jobapi.Job{ID: "it", Status: states[known]})
	})
	send := func(prefer string) reply {
		header := http.Header{"Content-Disposition": {"attachment; filename=a.pptx"}, "Prefer": {prefer}}
		return g.request(t, http.MethodPost, "/v1/jobs", header, bytes.NewReader(sample(t, deck)))
	}
	finished := send("respond-async, wait=30")
	require.Equal(t, jobapi.Succeeded, finished.job(t, http.StatusOK).Status)
	require.Equal(t, "wait=30", finished.Header.Get("Preference-Applied"))
	require.Empty(t, finished.Header.Get("Retry-After"))
	require.NotEmpty(t, finished.Header.Get("Location"))

	unheld := send("wait=x")
	require.Equal(t, jobapi.Queued, unheld.job(t, http.StatusAccepted).Status)
	require.Empty(t, unheld.Header.Get("Preference-Applied"))

	states[`"2"`] = jobapi.Running // it does not end
	g.status.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("ETag", `"1"`)
		writeJSON(w, jobapi.Job{ID: "it", Status: jobapi.Running})
	})
	held := send("wait=1")
	require.Equal(t, jobapi.Running, held.job(t, http.StatusAccepted).Status)
	require.Equal(t, "wait=1", held.Header.Get("Preference-Applied"))
	require.Equal(t, "1", held.Header.Get("Retry-After"))
}
