package upload

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
)

// FuzzReceive holds the parser to its promises whatever a client sends: an upload that is right, or a problem that is
// the client's.
func FuzzReceive(f *testing.F) {
	form := "multipart/form-data; boundary=" + boundary
	f.Add(form, "", "tag=x", field("to", "pdf")+file("a.txt", "text")+closed)
	f.Add(form, "", "", file("a.txt", "text")+field("to", "pdf")+closed)
	f.Add(form, "", "", "--"+boundary+"\n\n--"+boundary+"--")
	f.Add("", `attachment; filename="a.txt"; filename*=UTF-8''%e2%82%ac.txt`, "to=pdf&&;", "text")
	f.Add("multipart/", `attachment; filename*0="a"; filename*1*=%00`, "%", "text")
	f.Fuzz(func(t *testing.T, contentType, disposition, query, body string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/jobs", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		if disposition != "" {
			r.Header.Set("Content-Disposition", disposition)
		}
		limits := Limits{MaxSize: 64, Idle: time.Minute, Offer: fleet.Everything()}
		u, content, err := receive(r, limits)
		if err != nil {
			var p *problem.Error
			if !errors.As(err, &p) || problem.Describe(p.Code).Status >= http.StatusInternalServerError {
				t.Fatalf("no problem of the client: %v", err)
			}
			return
		}
		if int64(len(content)) > limits.MaxSize || u.Size != UnknownSize && u.Size != int64(len(content)) {
			t.Fatalf("%d bytes of an upload of %d", len(content), u.Size)
		}
		if u.Filename == "" || len(u.Filename) > maxFilename || !utf8.ValidString(u.Filename) ||
			strings.ContainsAny(u.Filename, `/\`) || strings.ContainsFunc(u.Filename, unicode.IsControl) {
			t.Fatalf("filename %q", u.Filename)
		}
		if u.Options.To == "" || utf8.RuneCountInString(u.Options.Tag) > option.MaxTag || strings.ContainsFunc(u.Options.Tag, unicode.IsControl) {
			t.Fatalf("options %+v", u.Options)
		}
	})
}
