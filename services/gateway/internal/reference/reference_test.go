package reference_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/reference"
)

func render(t *testing.T) (reference.Page, string) {
	t.Helper()
	document, err := openapi.Read()
	require.NoError(t, err)
	page, err := reference.Render(document)
	require.NoError(t, err)
	return page, string(page.HTML)
}

func TestPageShowsEverything(t *testing.T) {
	t.Parallel()
	document, err := openapi.Read()
	require.NoError(t, err)
	_, html := render(t)
	for _, path := range document.Paths {
		require.Contains(t, html, "<code>"+path.Name+"</code>")
	}
	for _, schema := range document.Components.Schemas {
		require.Contains(t, html, `id="schema-`+schema.Name+`"`)
	}
	for code := range problem.Codes() {
		require.Contains(t, html, `id="code-`+string(code)+`"`)
	}
	submit, found := document.Paths.Get("/v1/jobs")
	require.True(t, found)
	for _, parameter := range submit.Post.Parameters {
		require.Contains(t, html, "<code>"+parameter.Name+"</code>")
	}
	require.NotContains(t, html, "%!")
	require.NotContains(t, html, "ZgotmplZ")
}

func TestPageLoadsNothing(t *testing.T) {
	t.Parallel()
	page, html := render(t)
	for _, loading := range []string{"<script", "<link", "<img", "src=", "@import", "url(", `href="http`} {
		require.NotContains(t, html, loading)
	}
	_, rest, _ := strings.Cut(html, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	require.Contains(t, page.Policy, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
}

func TestEveryLinkHasATarget(t *testing.T) {
	t.Parallel()
	_, html := render(t)
	for _, link := range strings.Split(html, `href="#`)[1:] {
		target, _, _ := strings.Cut(link, `"`)
		require.Contains(t, html, `id="`+target+`"`)
	}
}
