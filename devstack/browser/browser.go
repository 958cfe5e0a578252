// Package browser drives Chromium for tests of the web page. A test fails if a page loads anything from another origin,
// violates its Content-Security-Policy, or has an uncaught error.
package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/install"
)

// axe checks the accessibility of a page.
//
//go:embed axe/axe.min.js
var axe string

// patience limits each wait for a condition.
const patience = 2 * time.Minute

// Browser is a Chromium process. It is safe for concurrent use.
type Browser struct {
	ctx context.Context //nolint:containedctx // chromedp keeps the process in it
}

// Start starts a browser that ends with the test.
func Start(tb testing.TB) *Browser {
	tb.Helper()
	tools, err := install.Ensure(tb.Context(), zap.NewNop(), install.Chromium)
	require.NoError(tb, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(tools.Chromium),
		// Names do not resolve, so not even the browser itself can reach another machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Env("LANG=C.UTF-8"), // without it, files whose names are not ASCII cannot be chosen
	)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	tb.Cleanup(func() {
		end()
		endAllocator()
	})
	require.NoError(tb, chromedp.Do(ctx))
	return &Browser{ctx: ctx}
}

// Tab is a page of one profile. Its methods fail the test.
type Tab struct {
	tb     testing.TB
	ctx    context.Context //nolint:containedctx // chromedp keeps the tab in it
	origin string

	mutex   sync.Mutex
	streams map[network.RequestID]bool
	most    int
}

// Open opens the page at a path of a new profile, which has no storage.
func (b *Browser) Open(tb testing.TB, origin, path string) *Tab {
	tb.Helper()
	return open(tb, b.ctx, origin, path, chromedp.WithNewBrowserContext())
}

// Open opens a path in another tab of the same profile.
func (t *Tab) Open(path string) *Tab {
	t.tb.Helper()
	return open(t.tb, t.ctx, t.origin, path)
}

func open(tb testing.TB, parent context.Context, origin, path string, options ...chromedp.ContextOption) *Tab {
	tb.Helper()
	ctx, end := chromedp.NewContext(parent, options...)
	tb.Cleanup(end)
	t := &Tab{tb: tb, ctx: ctx, origin: origin, streams: map[network.RequestID]bool{}}
	require.NoError(tb, chromedp.Listen(ctx, t.observe))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(tb, err)
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(tb, err)
	t.Resize(1280, 800) //nolint:contextcheck // the tab has its context
	t.Dark(false)
	t.Do(chromedp.Navigate(origin + path)) //nolint:contextcheck // likewise
	return t
}

// observe checks what the page does.
func (t *Tab) observe(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, t.origin+"/") {
			t.tb.Errorf("the page requested %s", e.Request.URL)
		}
		if e.Type == network.ResourceTypeEventSource {
			t.streaming(e.RequestID, true)
		}
	case *network.EventLoadingFinished:
		t.streaming(e.RequestID, false)
	case *network.EventLoadingFailed:
		t.streaming(e.RequestID, false)
	case *runtime.EventExceptionThrown:
		text, _ := json.Marshal(e.ExceptionDetails) //nolint:errchkjson // plain values
		t.tb.Errorf("the page has an uncaught error: %s", text)
	case *log.EventEntryAdded:
		// The browser also logs each answer with a status of 400 or more, which some tests provoke.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			t.tb.Errorf("the browser reports: %s (%s)", e.Entry.Text, e.Entry.Source)
		}
	}
}

// streaming records that a stream of events was opened, or that a request ended.
func (t *Tab) streaming(id network.RequestID, open bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if open {
		t.streams[id] = true
	} else {
		delete(t.streams, id)
	}
	t.most = max(t.most, len(t.streams))
}

// MostStreams returns the maximum number of streams of events that the page had open at the same time.
func (t *Tab) MostStreams() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.most
}

// Do runs actions.
func (t *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	require.NoError(t.tb, chromedp.Do(ctx, actions...))
}

// Reload loads the page again.
func (t *Tab) Reload() {
	t.tb.Helper()
	t.Do(chromedp.Reload())
}

// Wait waits until a JavaScript expression is true. It does not use chromedp.Poll, which the policy of the page forbids.
func (t *Tab) Wait(expression string) {
	t.tb.Helper()
	const wait = `new Promise((resolve) => {
		const check = () => (%s) ? resolve(true) : setTimeout(check, 20);
		check();
	})`
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(wait, expression), chromedp.EvalAwaitPromise))
	if err != nil {
		shown, _ := chromedp.Run(t.ctx, chromedp.Evaluate[string](`document.querySelector("main").innerText`))
		require.NoError(t.tb, err, "wait until %s; the page shows:\n%s", expression, shown)
	}
}

// Text returns the text of the first element that matches a selector.
func (t *Tab) Text(selector string) string {
	t.tb.Helper()
	return Evaluate[string](t, "document.querySelector("+quoted(selector)+").textContent")
}

// Click clicks the first element that matches a selector, with the mouse.
func (t *Tab) Click(selector string) {
	t.tb.Helper()
	t.Do(chromedp.Click(chromedp.CSS(selector)))
}

// Type types into the first element that matches a selector.
func (t *Tab) Type(selector, text string) {
	t.tb.Helper()
	t.Do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Choose chooses files in the first file input that matches a selector.
func (t *Tab) Choose(selector string, files ...string) {
	t.tb.Helper()
	t.Do(chromedp.SetUploadFiles(chromedp.CSS(selector), files, chromedp.NodeReady))
}

// Drop drags files or directories over the page and drops them on the first element that matches a selector.
func (t *Tab) Drop(selector string, paths ...string) {
	t.tb.Helper()
	at := Evaluate[struct{ X, Y float64 }](t, `(() => { const r = document.querySelector(`+quoted(selector)+`).getBoundingClientRect(); return {X: r.x + r.width / 2, Y: r.y + r.height / 2}; })()`)
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		_, err := chromedp.Call(t.ctx, input.DispatchDragEvent, input.DispatchDragEventParams{
			Type: kind, X: at.X, Y: at.Y, Data: &input.DragData{Items: []*input.DragDataItem{}, Files: paths, DragOperationsMask: 1},
		})
		require.NoError(t.tb, err)
	}
}

// Resize sets the size of the window in CSS pixels.
func (t *Tab) Resize(width, height int64) {
	t.tb.Helper()
	t.Do(chromedp.EmulateViewport(width, height))
}

// Dark sets the preferred color scheme. Motion is always reduced, so that no color is seen halfway to another.
func (t *Tab) Dark(dark bool) {
	t.tb.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	_, err := chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		},
	})
	require.NoError(t.tb, err)
}

// LimitUploads limits the rate of uploads in bytes per second; 0 removes the limit.
func (t *Tab) LimitUploads(rate float64) {
	t.tb.Helper()
	limits := []*network.Conditions{}
	if rate > 0 {
		limits = append(limits, &network.Conditions{DownloadThroughput: -1, UploadThroughput: rate})
	}
	_, err := chromedp.Call(t.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: limits})
	require.NoError(t.tb, err)
}

// Screenshot returns the visible part of the page as a PNG.
func (t *Tab) Screenshot() []byte {
	t.tb.Helper()
	shot, err := chromedp.Call(t.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	require.NoError(t.tb, err)
	return shot.Data
}

// RequireAccessible checks the page with axe-core, against WCAG 2.2 AA and its own best practices.
func (t *Tab) RequireAccessible(state string) {
	t.tb.Helper()
	type violation struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML, FailureSummary string }
	}
	const run = `axe.run(document, {resultTypes: ["violations"]})
		.then((r) => r.violations.map((v) => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map((n) => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`
	if !Evaluate[bool](t, `Boolean(window.axe)`) {
		t.Do(chromedp.Evaluate[chromedp.Void](axe))
	}
	for _, v := range Evaluate[[]violation](t, run) {
		t.tb.Errorf("%s: %s: %s (%s): %+v", state, v.ID, v.Help, v.Impact, v.Nodes)
	}
}

// Evaluate returns the value of a JavaScript expression; a promise is awaited.
func Evaluate[T any](t *Tab, expression string) T {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(t.tb, err, expression)
	return value
}

func quoted(text string) string {
	literal, _ := json.Marshal(text) //nolint:errchkjson // a string
	return string(literal)
}
