package libreoffice

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLinksInHTMLAndSVG checks that nothing is fetched: HTML and SVG have more ways than documents to refer to other
// files. The listener must get no request, and no other file's text or image may be in the PDF. (LibreOffice 25.2 shows
// an image file in SVG, which in a child can only be one of its own gallery.)
func TestLinksInHTMLAndSVG(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	requests := atomic.Int64{}
	listener := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(listener.Close)
	picture := filepath.Join(t.TempDir(), "picture.png")
	require.NoError(t, os.WriteFile(picture, redSquare(t), 0o600))
	text := filepath.Join(t.TempDir(), "secret.html")
	require.NoError(t, os.WriteFile(text, []byte("<p>TOP-SECRET</p>"), 0o600))
	const gallery = "/usr/lib/libreoffice/share/gallery/backgrounds/giraffe.png" // which a child may read
	replace := strings.NewReplacer("NETWORK", listener.URL, "PICTURE", "file://"+picture, "TEXT", "file://"+text, "GALLERY", "file://"+gallery)

	for name, c := range map[string]struct{ format, content string }{
		"page": {"html", `<!DOCTYPE html><html><head><base href="NETWORK/base/">
			<link rel="stylesheet" href="NETWORK/a.css"><link rel="icon" href="NETWORK/i.png"><style>@import url(NETWORK/b.css);
			@font-face { font-family: f; src: url(NETWORK/f.ttf) } body { font-family: f; background-image: url(NETWORK/c.png) }</style>
			<script src="NETWORK/s.js"></script><meta http-equiv="refresh" content="0; url=NETWORK/r"></head>
			<body background="NETWORK/d.png"><p>Hello page</p><img src="NETWORK/e.png"><img src="relative.png"><img src="PICTURE">
			<img src="GALLERY"><iframe src="NETWORK/f.html"></iframe><iframe src="TEXT"></iframe><object data="NETWORK/g.svg"></object>
			<embed src="NETWORK/h.swf"><video src="NETWORK/v.mp4"></video><table background="PICTURE"><tr><td>x</table>
			<input type="image" src="NETWORK/j.png"></body></html>`},
		"page of frames": {"html", `<html><frameset cols="50%,50%"><frame src="TEXT"><frame src="NETWORK/f.html"></frameset></html>`},
		"page in XML": {"html", `<?xml version="1.0"?><?xml-stylesheet href="NETWORK/a.css"?><!DOCTYPE html SYSTEM "NETWORK/d.dtd" [<!ENTITY e SYSTEM "TEXT">]>
			<html xmlns="http://www.w3.org/1999/xhtml"><body><p>Hello page</p><p>&e;</p><img src="NETWORK/e.png"/></body></html>`},
		"picture": {"svg", `<?xml version="1.0"?><?xml-stylesheet href="NETWORK/a.css" type="text/css"?>
			<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="400" height="400">
			<style>@import url(NETWORK/b.css); rect { fill: url(NETWORK/p.svg#p) }</style><text y="20">Hello page</text>
			<image xlink:href="NETWORK/a.png" width="90" height="90"/><image href="NETWORK/a.png" width="90" height="90"/>
			<image xlink:href="PICTURE" width="90" height="90"/>
			<image xlink:href="NETWORK/a.svg" width="90" height="90"/><image xlink:href="TEXT" width="90" height="90"/>
			<use xlink:href="NETWORK/b.svg#a"/><rect width="9" height="9" fill="url(NETWORK/c.svg#a)"/>
			<foreignObject width="99" height="99"><img xmlns="http://www.w3.org/1999/xhtml" src="NETWORK/d.png"/></foreignObject></svg>`},
		"picture with an entity": {"svg", `<?xml version="1.0"?><!DOCTYPE svg SYSTEM "NETWORK/d.dtd" [<!ENTITY e SYSTEM "TEXT"><!ENTITY % p SYSTEM "NETWORK/p">%p;]>
			<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400"><text y="20">Hello page</text><text y="40">&e;</text></svg>`},
		"spreadsheet": {"fods", string(flat("spreadsheet", `<table:table table:name="a"><table:table-source xmlns:xlink="http://www.w3.org/1999/xlink" `+
			`xlink:href="NETWORK/t.ods" table:table-name="a"/><table:table-row><table:table-cell table:formula="of:=WEBSERVICE(&quot;NETWORK/w&quot;)" `+
			`office:value-type="string"><text:p>Hello page</text:p></table:table-cell>`+
			`<table:table-cell table:formula="of:='TEXT'#$a.A1" office:value-type="string"><text:p>x</text:p></table:table-cell></table:table-row></table:table>`))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() { require.Zero(t, requests.Load(), "requests to the listener") })
			output, err := e.Convert(t.Context(), requestFor(t, []byte(replace.Replace(c.content)), c.format))
			require.NoError(t, err)
			require.NotContains(t, pdfText(t, output.Path), "TOP-SECRET")
			images, err := exec.Command("pdfimages", "-list", output.Path).Output()
			require.NoError(t, err)
			require.Equal(t, 2, bytes.Count(images, []byte("\n")), "only the two header lines: %s", images)
		})
	}
}
