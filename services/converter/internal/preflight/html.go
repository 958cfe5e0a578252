package preflight

import (
	"io"

	"golang.org/x/net/html"
)

// maxHTML bounds the bytes that are read of a web page.
const maxHTML = 16 << 20

// html scans a web page for what it would load. The page comes alone, so all of that is outside.
func (f *finder) html(r io.Reader) {
	tokens := html.NewTokenizer(io.LimitReader(r, maxHTML))
	tokens.SetMaxBuf(1 << 20)
	for n := 0; n%1024 != 0 || f.budget.Spend(1024) == nil; n++ {
		switch tokens.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			f.htmlElement(tokens.Token())
		case html.TextToken: // also that of scripts, which seldom has characters that fonts lack
			f.characters.add(tokens.Text())
		default:
		}
	}
}

// loads are the attributes with addresses that elements load.
var loads = map[string]string{
	"img": "src", "script": "src", "iframe": "src", "frame": "src", "embed": "src", "source": "src", "video": "src",
	"audio": "src", "input": "src", "link": "href", "object": "data", "body": "background", "table": "background",
	"td": "background",
}

func (f *finder) htmlElement(e html.Token) {
	for _, a := range e.Attr {
		switch {
		case a.Key == loads[e.Data] && leadsOutside(a.Val, true):
			f.link(a.Val)
		case e.Data == "font" && a.Key == "face":
			f.font(a.Val, western)
		}
	}
}
