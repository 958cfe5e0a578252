package upload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
)

const boundary = "xxBOUNDARYxx"

// part writes one part of a form as a client would.
func part(disposition, content string) string {
	return "--" + boundary + "\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n"
}

func field(name, value string) string { return part(`name="`+name+`"`, value) }

func file(name, content string) string { return part(`name="file"; filename="`+name+`"`, content) }

const closed = "--" + boundary + "--\r\n"

func formRequest(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/jobs", strings.NewReader(body))
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	return r
}

func rawRequest(disposition, query, content string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/jobs?"+query, strings.NewReader(content))
	if disposition != "" {
		r.Header.Set("Content-Disposition", disposition)
	}
	return r
}

var small = Limits{MaxSize: 100, Idle: time.Minute, Offer: fleet.Everything()}

// receive reads the whole upload.
func receive(r *http.Request, limits Limits) (*Upload, string, error) {
	u, err := Receive(httptest.NewRecorder(), r, limits)
	if err != nil {
		return nil, "", err
	}
	content, err := io.ReadAll(u)
	if err == nil {
		_, again := u.Read(make([]byte, 1))
		if !errors.Is(again, io.EOF) {
			return nil, "", fmt.Errorf("the end of an upload is not stable: %w", again)
		}
	}
	return u, string(content), err
}

func requireProblem(t *testing.T, err error, code problem.Code) *problem.Error {
	t.Helper()
	var p *problem.Error
	require.ErrorAs(t, err, &p)
	require.Equal(t, code, p.Code, p.Error())
	return p
}

func names(p *problem.Error) []string {
	var all []string
	for _, field := range p.Fields {
		all = append(all, field.Name)
	}
	return all
}

func TestForm(t *testing.T) {
	t.Parallel()
	u, content, err := receive(formRequest("preamble\r\n"+field("to", "pdf")+field("tag", "été 🎉")+file("deck.pptx", "bytes\r\n--"+boundary[:5])+closed+"epilogue"), small)
	require.NoError(t, err)
	require.Equal(t, "bytes\r\n--"+boundary[:5], content)
	require.Equal(t, "pdf", u.Options.To)
	require.Equal(t, "été 🎉", u.Options.Tag)
	require.Nil(t, u.Options.Chosen.Options())
	require.Nil(t, u.Options.Chosen.Secrets())
	require.Equal(t, "deck.pptx", u.Filename)
	require.Equal(t, UnknownSize, u.Size)
}

func TestOptionsOfTheConversion(t *testing.T) {
	t.Parallel()
	limits := small
	limits.Secrets = true
	u, _, err := receive(formRequest(field("pages", "1-3,5")+field("pdf_a", "2b")+field("password", "a=b ü")+file("a.docx", "bytes")+closed), limits)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"pages": "1-3,5", "pdf_a": "2b"}, option.Values(u.Options.Chosen.Options()))
	require.Equal(t, "a=b ü", u.Options.Chosen.Secrets().GetPassword())

	_, _, err = receive(rawRequest("attachment; filename=a.docx", "password=p", "text"), limits)
	p := requireProblem(t, err, problem.OptionInvalid)
	require.Contains(t, p.Fields[0].Detail, "form")
	require.NotContains(t, err.Error(), "=p")
}

func TestFormInPieces(t *testing.T) {
	t.Parallel()
	whole := field("tag", "t") + file("a.txt", strings.Repeat("text\n--", 9)) + closed
	for _, piece := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		r := formRequest("")
		r.Body = io.NopCloser(piece(strings.NewReader(whole)))
		r.ContentLength = -1
		_, content, err := receive(r, small)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("text\n--", 9), content)
	}
}

func TestRawBody(t *testing.T) {
	t.Parallel()
	u, content, err := receive(rawRequest(`attachment; filename="deck.pptx"`, "tag=a%20b", "bytes"), small)
	require.NoError(t, err)
	require.Equal(t, "bytes", content)
	require.Equal(t, "pdf", u.Options.To)
	require.Equal(t, "a b", u.Options.Tag)
	require.Equal(t, int64(5), u.Size)

	chunked := rawRequest(`attachment; filename="deck.pptx"`, "", "bytes")
	chunked.ContentLength = -1
	u, content, err = receive(chunked, small)
	require.NoError(t, err)
	require.Equal(t, "bytes", content)
	require.Equal(t, UnknownSize, u.Size)
}

func TestSizeLimitIsExact(t *testing.T) {
	t.Parallel()
	for _, size := range []int{99, 100, 101, 5000} {
		content := strings.Repeat("x", size)
		chunked := rawRequest(`attachment; filename=a.txt`, "", content)
		chunked.ContentLength = -1
		unsized := formRequest(file("a.txt", content) + closed)
		unsized.ContentLength = -1
		for kind, r := range map[string]*http.Request{
			"raw": rawRequest(`attachment; filename=a.txt`, "", content), "chunked": chunked,
			"form": formRequest(file("a.txt", content) + closed), "chunked form": unsized,
		} {
			_, got, err := receive(r, small)
			if size <= 100 {
				require.NoError(t, err, "%s of %d", kind, size)
				require.Equal(t, content, got)
				continue
			}
			requireProblem(t, err, problem.FileTooLarge)
			require.LessOrEqual(t, len(got), 100, "nothing beyond the limit is passed on")
		}
	}
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestAnnouncedSizeIsRefusedUnread(t *testing.T) {
	t.Parallel()
	raw := httptest.NewRequest(http.MethodPost, "/v1/jobs", unread{t})
	raw.Header.Set("Content-Disposition", "attachment; filename=a.txt")
	raw.ContentLength = 101
	_, err := Receive(httptest.NewRecorder(), raw, small)
	requireProblem(t, err, problem.FileTooLarge)

	form := httptest.NewRequest(http.MethodPost, "/v1/jobs", unread{t})
	form.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	form.ContentLength = 100 + 2*maxOverhead + 1
	_, err = Receive(httptest.NewRecorder(), form, small)
	requireProblem(t, err, problem.FileTooLarge)
}

func TestRefusedForms(t *testing.T) {
	t.Parallel()
	whole := file("a.txt", "text") + closed
	other := func(contentType string) *http.Request {
		r := formRequest(whole)
		r.Header.Set("Content-Type", contentType)
		return r
	}
	for name, test := range map[string]struct {
		request *http.Request
		code    problem.Code
		fields  []string
	}{
		"no parts":                {formRequest(closed), problem.FileMissing, nil},
		"no file":                 {formRequest(field("to", "gif") + closed), problem.FileMissing, []string{"to"}},
		"file under other name":   {formRequest(part(`name="document"; filename="a.txt"`, "text") + closed), problem.FileMissing, nil},
		"two files":               {formRequest(file("a.txt", "text") + whole), problem.FileRepeated, nil},
		"second file, other name": {formRequest(file("a.txt", "text") + part(`name="b"; filename="b.txt"`, "text") + closed), problem.FileRepeated, nil},
		"options after the file":  {formRequest(file("a.txt", "text") + field("to", "pdf") + field("tag", "t") + closed), problem.OptionInvalid, []string{"to", "tag"}},
		"file part without name":  {formRequest(part(`name="file"`, "text") + closed), problem.FileNameInvalid, nil},
		"file with empty name":    {formRequest(file("", "text") + closed), problem.FileNameInvalid, nil},
		"every bad option at once": {
			formRequest(field("to", "gif") + field("quality", "9") + field("tag", "a\x01b") + field("tag", "again") + whole),
			problem.OptionInvalid,
			[]string{"to", "quality", "tag", "tag"},
		},
		"secrets without a key": {formRequest(field("password", "p") + whole), problem.OptionInvalid, []string{"password"}},
		"values and what they are for": {
			formRequest(field("pages", "0") + field("image_quality", "101") + field("notes", "some") + field("tagged", "yes") + field("width", "20") + whole),
			problem.OptionInvalid,
			[]string{"pages", "image_quality", "notes", "tagged", "width"},
		},
		"contradictions": {
			formRequest(field("pdf_a", "2b") + field("allow_copying", "false") + field("image_lossless", "true") + field("image_quality", "50") + whole),
			problem.OptionInvalid,
			[]string{"allow_copying", "image_quality"},
		},
		"no webhooks":             {formRequest(field("callback_url", "https://example.com/") + field("callback_events", "job.failed") + whole), problem.OptionInvalid, []string{"callback_url", "callback_events"}},
		"tag too long":            {formRequest(field("tag", strings.Repeat("ü", 129)) + whole), problem.OptionInvalid, []string{"tag"}},
		"value far too long":      {formRequest(field("tag", strings.Repeat("x", 5000)) + whole), problem.OptionInvalid, []string{"tag"}},
		"tag not UTF-8":           {formRequest(field("tag", "\xff") + whole), problem.OptionInvalid, []string{"tag"}},
		"option empty":            {formRequest(field("to", "") + whole), problem.OptionInvalid, []string{"to"}},
		"too many options":        {formRequest(strings.Repeat(field("x", "1"), 65) + whole), problem.FormInvalid, nil},
		"too many after the file": {formRequest(file("a.txt", "text") + strings.Repeat(field("x", "1"), 65) + closed), problem.FormInvalid, nil},
		"part without name":       {formRequest(part(`x="y"`, "text") + whole), problem.FormInvalid, nil},
		"not closed":              {formRequest(file("a.txt", "text")), problem.FormInvalid, nil},
		"cut in the file":         {formRequest(file("a.txt", "text")[:83]), problem.FormInvalid, nil},
		"cut in a later part":     {formRequest(file("a.txt", "text") + "--" + boundary + "\r\n"), problem.FormInvalid, nil},
		"cut in a part's headers": {formRequest(file("a.txt", "text") + "--" + boundary + "\r\nContent-Disposition: form-data\r\n"), problem.FormInvalid, nil},
		"cut before the file":     {formRequest(field("to", "pdf")), problem.FormInvalid, nil},
		"no form at all":          {formRequest("hello"), problem.FormInvalid, nil},
		"huge preamble":           {formRequest(strings.Repeat("x\r\n", maxOverhead) + whole), problem.FormInvalid, nil},
		"huge part header":        {formRequest("--" + boundary + "\r\nX: " + strings.Repeat("x", maxOverhead) + "\r\n\r\n" + whole), problem.FormInvalid, nil},
		"huge epilogue":           {formRequest(whole + strings.Repeat("x", 2*maxOverhead)), problem.FormInvalid, nil},
		"base64":                  {formRequest("--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Transfer-Encoding: base64\r\n\r\ndGV4dA==\r\n" + closed), problem.FormInvalid, nil},
		"no boundary":             {other("multipart/form-data"), problem.FormInvalid, nil},
		"long boundary":           {other("multipart/form-data; boundary=" + strings.Repeat("b", 71)), problem.FormInvalid, nil},
		"mixed":                   {other("multipart/mixed; boundary=" + boundary), problem.FormInvalid, nil},
		"broken type":             {other("multipart/form-data; boundary=a; boundary=b"), problem.FormInvalid, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := receive(test.request, Limits{MaxSize: 1 << 20, Idle: time.Minute, Offer: fleet.Everything()})
			p := requireProblem(t, err, test.code)
			require.NotErrorIs(t, err, io.EOF)
			require.Equal(t, test.fields, names(p))
		})
	}
}

// callback returns the callback of a form with these fields, or the names of the invalid ones.
func callback(t *testing.T, fields string) (*Callback, []string) {
	t.Helper()
	limits := small
	limits.MaxSize, limits.Webhooks = 1<<20, true
	u, _, err := receive(formRequest(fields+file("a.txt", "text")+closed), limits)
	if err != nil {
		return nil, names(requireProblem(t, err, problem.OptionInvalid))
	}
	return u.Options.Callback, nil
}

func TestCallback(t *testing.T) {
	t.Parallel()
	const hook = "https://example.com/hook?a=b"
	for name, test := range map[string]struct {
		fields  string
		want    *Callback
		invalid []string
	}{
		"none":               {"", nil, nil},
		"all events":         {field("callback_url", hook), &Callback{hook, []string{"job.succeeded", "job.failed", "job.canceled"}}, nil},
		"events":             {field("callback_events", "job.failed") + field("callback_url", hook), &Callback{hook, []string{"job.failed"}}, nil},
		"events without URL": {field("callback_events", "job.failed"), nil, []string{"callback_events"}},
		"both invalid":       {field("callback_url", "ftp://example.com/") + field("callback_events", "any"), nil, []string{"callback_url", "callback_events"}},
		"empty":              {field("callback_url", "") + field("callback_events", ""), nil, []string{"callback_url", "callback_events"}},
		"longest":            {field("callback_url", "https://e/"+strings.Repeat("a", 2038)), &Callback{"https://e/" + strings.Repeat("a", 2038), option.AllCallbackEvents()}, nil},
		"too long":           {field("callback_url", "https://e/"+strings.Repeat("a", 2039)), nil, []string{"callback_url"}},
		"far too long":       {field("callback_url", "https://e/"+strings.Repeat("a", 9000)), nil, []string{"callback_url"}},
		"twice":              {field("callback_url", hook) + field("callback_url", hook), nil, []string{"callback_url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, invalid := callback(t, test.fields)
			require.Equal(t, test.want, got)
			require.Equal(t, test.invalid, invalid)
		})
	}
}

func TestRefusedRawBodies(t *testing.T) {
	t.Parallel()
	encoded := rawRequest("attachment; filename=a.txt", "", "text")
	encoded.Header.Set("Content-Encoding", "gzip")
	twice := rawRequest("attachment; filename=a.txt", "", "text")
	twice.Header.Add("Content-Disposition", "attachment; filename=b.txt")
	for name, test := range map[string]struct {
		request *http.Request
		code    problem.Code
		fields  []string
	}{
		"no name":              {rawRequest("", "", "text"), problem.FileMissing, []string{"Content-Disposition"}},
		"no filename":          {rawRequest("attachment", "", "text"), problem.HeaderInvalid, []string{"Content-Disposition"}},
		"no type":              {rawRequest("filename=a.txt", "", "text"), problem.HeaderInvalid, []string{"Content-Disposition"}},
		"unquoted spaces":      {rawRequest("attachment; filename=a b.txt", "", "text"), problem.HeaderInvalid, []string{"Content-Disposition"}},
		"two dispositions":     {twice, problem.HeaderInvalid, []string{"Content-Disposition"}},
		"compressed":           {encoded, problem.HeaderInvalid, []string{"Content-Encoding"}},
		"unknown option":       {rawRequest("attachment; filename=a.txt", "from=x&to=gif", "text"), problem.OptionInvalid, []string{"from", "to"}},
		"repeated option":      {rawRequest("attachment; filename=a.txt", "to=pdf&to=pdf", "text"), problem.OptionInvalid, []string{"to"}},
		"secret in an address": {rawRequest("attachment; filename=a.txt", "password=p", "text"), problem.OptionInvalid, []string{"password"}},
		"unreadable query":     {rawRequest("attachment; filename=a.txt", "to=%zz", "text"), problem.OptionInvalid, []string{"(query)"}},
		"only a directory":     {rawRequest(`attachment; filename="a/"`, "", "text"), problem.FileNameInvalid, nil},
		"dots":                 {rawRequest(`attachment; filename=".."`, "", "text"), problem.FileNameInvalid, nil},
		"blank":                {rawRequest(`attachment; filename="  "`, "", "text"), problem.FileNameInvalid, nil},
		"line feed":            {rawRequest(`attachment; filename*=UTF-8''a%0Ab.txt`, "", "text"), problem.FileNameInvalid, nil},
		"C1 control":           {rawRequest(`attachment; filename*=UTF-8''a%C2%85b.txt`, "", "text"), problem.FileNameInvalid, nil},
		"Latin-1":              {rawRequest("attachment; filename=\"d\xe9ck.pptx\"", "", "text"), problem.FileNameInvalid, nil},
		"256 bytes":            {rawRequest(`attachment; filename="`+strings.Repeat("x", 256)+`"`, "", "text"), problem.FileNameInvalid, nil},
		"256 bytes of UTF-8":   {rawRequest(`attachment; filename="`+strings.Repeat("ü", 128)+`"`, "", "text"), problem.FileNameInvalid, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := receive(test.request, small)
			p := requireProblem(t, err, test.code)
			require.Equal(t, test.fields, names(p))
		})
	}
}

func TestFilenames(t *testing.T) {
	t.Parallel()
	for disposition, want := range map[string]string{
		`attachment; filename=deck.pptx`:                                       "deck.pptx",
		`attachment; filename="my deck; v2.pptx"`:                              "my deck; v2.pptx",
		`attachment; filename="a \"b\".pptx"`:                                  `a "b".pptx`,
		`attachment; filename="Präsentation 🎉.pptx"`:                           "Präsentation 🎉.pptx",
		`attachment; filename*=UTF-8''Pr%C3%A4sentation%20%F0%9F%8E%89.pptx`:   "Präsentation 🎉.pptx",
		`attachment; filename="plain.pptx"; filename*=utf-8'de'%e2%82%ac.pptx`: "€.pptx",
		`attachment; filename*=UTF-8''%D9%85%D9%84%D9%81%E2%80%AEfdp.pptx`:     "ملف\u202efdp.pptx",
		`attachment; filename="C:\Users\me\deck.pptx"`:                         "deck.pptx",
		`attachment; filename="../../etc/passwd"`:                              "passwd",
		`attachment; filename="` + strings.Repeat("x", 250) + `.pptx"`:         strings.Repeat("x", 250) + ".pptx",
		`inline; filename=deck.pptx`:                                           "deck.pptx",
	} {
		got, err := filenameOf(disposition)
		require.NoError(t, err, disposition)
		require.Equal(t, want, got, disposition)
	}
	got, err := filenameOfPart(`form-data; name="file"; filename="a %22b%22 50%25.pptx"`)
	require.NoError(t, err)
	require.Equal(t, `a "b" 50%25.pptx`, got, "browsers write a quotation mark so, and nothing else")
}

func TestAnOptionMayComeByQueryOrForm(t *testing.T) {
	t.Parallel()
	r := formRequest(file("a.txt", "text") + closed)
	r.URL.RawQuery = "tag=mine"
	u, _, err := receive(r, small)
	require.NoError(t, err)
	require.Equal(t, "mine", u.Options.Tag)

	r = formRequest(field("tag", "theirs") + file("a.txt", "text") + closed)
	r.URL.RawQuery = "tag=mine"
	_, _, err = receive(r, small)
	require.Equal(t, []string{"tag"}, names(requireProblem(t, err, problem.OptionInvalid)))
}

func TestAnswersRepeatLittleOfTheRequest(t *testing.T) {
	t.Parallel()
	_, _, err := receive(formRequest(field(strings.Repeat("ü", 400), "1")+file("a.txt", "text")+closed), small)
	p := requireProblem(t, err, problem.OptionInvalid)
	require.Equal(t, strings.Repeat("ü", 32)+"…", p.Fields[0].Name)
}

// failing returns some bytes and then an error.
type failing struct {
	bytes.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}

func TestInterruptedUploads(t *testing.T) {
	t.Parallel()
	reset := fmt.Errorf("read tcp 10.0.0.1:80: connection reset by peer: %w", io.ErrUnexpectedEOF)
	for name, start := range map[string]string{
		"in the preamble": "--xx", "in an option": field("to", "pdf")[:60],
		"in the file": file("a.txt", "text")[:83], "after the file": file("a.txt", "text"), "in the epilogue": file("a.txt", "text") + closed,
	} {
		body := &failing{Reader: *bytes.NewReader([]byte(start)), err: reset}
		r := httptest.NewRequest(http.MethodPost, "/v1/jobs", body)
		r.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
		_, _, err := receive(r, small)
		p := requireProblem(t, err, problem.UploadInterrupted)
		require.ErrorContains(t, err, "reset by peer", name)
		require.NotContains(t, p.Detail, "10.0.0.1")
		require.NotErrorIs(t, err, io.EOF)
	}
}
