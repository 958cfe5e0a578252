package acceptance_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/browser"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

var update = flag.Bool("update", false, "write the screenshots of docs/images")

// pageBundle is a Docmill and a browser that the cases share, each with a profile of its own.
type pageBundle struct {
	*testBundle

	browser *browser.Browser
}

// TestWebPage uses the web page as people do, in Chromium.
func TestWebPage(t *testing.T) {
	t.Parallel()
	forBoth(t, testWebPage)
}

func testWebPage(t *testing.T, on edition) {
	t.Helper()
	const limit = "DOCMILL_MAX_UPLOAD_SIZE=16MiB"
	options := system.Options{Env: map[string][]string{system.Embedded: {limit}, system.Gateway: {limit}}}
	if on == embedded {
		options.Data = filepath.Join(t.TempDir(), "data")
	} else {
		options.Space = testbench.New(t).Space
	}
	p := &pageBundle{testBundle: start(t, on, options), browser: browser.Start(t)}
	t.Run("cases", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *pageBundle){
			"a conversion":         pageConverts,
			"a drop":               pageAcceptsDrops,
			"options that apply":   pageOffersOptions,
			"failures":             pageShowsFailures,
			"warnings":             pageShowsWarnings,
			"a password":           pageAsksForPassword,
			"a reload":             pageSurvivesReload,
			"two tabs":             pageKeepsTabsInStep,
			"two tabs at once":     pageKeepsWhatTwoTabsAdd,
			"no extension":         pageConvertsWithoutExtension,
			"too many documents":   pageTellsWhatItSkips,
			"a faulty proxy":       pageSurvivesFaultyProxy,
			"deleted elsewhere":    pageUploadsAnew,
			"a hundred documents":  pageConvertsMany,
			"a document too large": pageRefusesLargeFiles,
			"hostile names":        pageShowsHostileNames,
			"a shared address":     pageOfOneJob,
			"cancel and delete":    pageCancelsAndDeletes,
			"cancel an address":    pageOfOneJobChangesIt,
			"an expired job":       pageShowsExpiry,
			"accessibility":        pageIsAccessible,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, p)
			})
		}
	})
	t.Run("the server gone and back", func(t *testing.T) { pageWaitsForServer(t, p) })
}

func (p *pageBundle) open(t *testing.T, path string) *browser.Tab {
	t.Helper()
	tab := p.browser.Open(t, p.system.URL(), path)
	tab.Wait(`document.querySelector("#limits").textContent.includes("formats") || location.pathname !== "/"`)
	return tab
}

// files returns the absolute paths of documents.
func files(t *testing.T, names ...string) []string {
	t.Helper()
	paths := make([]string, len(names))
	for i, name := range names {
		path, err := filepath.Abs(document(name))
		require.NoError(t, err)
		paths[i] = path
	}
	return paths
}

// convert chooses documents and starts their conversion.
func convert(tab *browser.Tab, paths ...string) {
	tab.Choose("#files", paths...)
	tab.Wait(fmt.Sprintf(`document.querySelectorAll("#chosen-files li").length === %d`, len(paths)))
	tab.Click("#convert")
}

// inState is an expression for the number of conversions in a state.
func inState(state string) string {
	return fmt.Sprintf(`document.querySelectorAll("#jobs [data-state=%s]").length`, state)
}

func pageConverts(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	tab.LimitUploads(200 << 10)
	tab.Choose("#files", files(t, "aspose.slides-for-.net__Print.ppt")...)
	tab.Wait(`document.activeElement.id === "convert"`) // for those who use the keyboard
	tab.Do(chromedp.KeyEvent("\r"))
	tab.Wait(inState("uploading") + ` === 1 && document.querySelector("#jobs progress").value > 0 && document.querySelector("#jobs progress").value < 100`)
	require.Regexp(t, `Uploading\d+%`, tab.Text("#jobs .state"))
	tab.LimitUploads(0)
	tab.Wait(inState("succeeded") + " === 1")
	require.Equal(t, "Done", tab.Text("#jobs .words"))
	require.Regexp(t, `^2 pages · \d+ KB · (under )?[\d.]+ s$`, tab.Text("#jobs .facts"))
	require.Equal(t, "1 done", tab.Text("#summary"))

	link := browser.Evaluate[string](tab, `document.querySelector("#jobs .download").href`)
	response, err := http.Get(link)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, `attachment; filename="aspose.slides-for-.net__Print.pdf"`, response.Header.Get("Content-Disposition"))

	tab.Click("#forget")
	tab.Wait(`document.querySelector("#work").hidden`)
}

// pageAcceptsDrops drops a file, and a directory with another one in it.
func pageAcceptsDrops(t *testing.T, p *pageBundle) {
	directory := filepath.Join(t.TempDir(), "letters")
	require.NoError(t, os.MkdirAll(filepath.Join(directory, "old"), 0o700))
	for _, name := range []string{"new.txt", "old/first.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte("A letter."), 0o600))
	}
	tab := p.open(t, "/")
	tab.Drop("#drop", append(files(t, "synth-table.csv"), directory)...)
	tab.Wait(`document.querySelectorAll("#chosen-files li").length === 3`)
	tab.Click("#convert")
	tab.Wait(inState("succeeded") + " === 3")
}

func pageOffersOptions(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	tab.Choose("#files", files(t, "aspose.slides-for-.net__HiddingSlides.pptx")...)
	tab.Wait(`document.querySelector("#option-hidden_slides")`)
	require.True(t, browser.Evaluate[bool](tab, `!document.querySelector("#option-paper") && !document.querySelector("#option-width")`))
	tab.Choose("#files", files(t, "synth-table.xlsx")...)
	tab.Wait(`document.querySelector("#option-paper") && document.querySelector("#option-hidden_slides")`)
	require.False(t, browser.Evaluate[bool](tab, `[...document.querySelector("#to").options].some((o) => o.value === "pptx")`), "a target of one of them only")
	tab.Click("#options summary")
	tab.Click("#option-hidden_slides")
	tab.Wait(`document.querySelector("#options-set").textContent === "1 set"`)
	tab.Click("#convert")
	tab.Wait(inState("succeeded") + " === 2")
	require.Contains(t, tab.Text("#jobs li:first-child .state"), "3 pages", "with the hidden one")
}

func pageShowsFailures(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	convert(tab, files(t, "synth-all-hidden.pptx", "synth-png-named.pptx", "aspose.slides-for-.net__HiddingSlides.pptx")...)
	tab.Wait(inState("failed") + " === 2 && " + inState("succeeded") + " === 1")
	require.Equal(t, "Make sure that at least one page or slide is visible.", tab.Text("#jobs li:nth-child(1) .remedy"))
	require.Equal(t, "Give the file the extension of its actual format, or send the right file.", tab.Text("#jobs li:nth-child(2) .remedy"))
	require.Contains(t, tab.Text("#jobs li:nth-child(3) .warnings"), "Hidden slides were omitted (1).")
	require.Equal(t, "1 done, 2 failed", tab.Text("#summary"))
	const again = `[...document.querySelectorAll("#jobs .again")].map((b) => b.hidden ? "" : b.className).join("|")`
	require.Equal(t, "again quiet||", browser.Evaluate[string](tab, again), "the first has a job that failed for a permanent reason")
	tab.Click("#jobs li:nth-child(1) .again")
	tab.Wait(`Object.values(localStorage).some((entry) => JSON.parse(entry).retried === 1) && ` + inState("failed") + " === 2")
	tab.Reload()
	tab.Wait(inState("failed") + " === 2 && " + inState("succeeded") + " === 1")
}

func pageShowsWarnings(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	convert(tab, append(files(t, "open-xml-sdk__FilterByCF.xlsx"), adlam(t))...)
	tab.Wait(inState("succeeded") + " === 2")
	require.True(t, browser.Evaluate[bool](tab, `document.querySelector("#jobs li:nth-child(1) .warnings").hidden`), "a font with the same widths is no reason to warn")
	require.Contains(t, tab.Text("#jobs li:nth-child(2) .warnings"), "Some characters are in no font")

	job, err := p.client.SubmitFile(p.ctx, adlam(t))
	require.NoError(t, err)
	_, err = p.client.Wait(p.ctx, job)
	require.NoError(t, err)
	tab = p.open(t, "/jobs/"+job.ID)
	tab.Wait(`document.querySelector("#details").textContent.includes("Missing characters")`)
	require.Contains(t, tab.Text("#details"), "\U0001E900")
}

func pageAsksForPassword(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	path := files(t, "gotenberg__protected_page_1.docx")
	convert(tab, path...)
	tab.Wait(`document.querySelector("#jobs .password") && !document.querySelector("#jobs .password").hidden`)
	require.True(t, browser.Evaluate[bool](tab, `document.querySelector(".file-field").hidden`), "the page still has the document")
	tab.Type("#jobs [type=password]", "wrong")
	tab.Click("#jobs .password button")
	tab.Wait(`document.querySelector("#jobs .problem .detail").textContent.includes("does not open") && !document.querySelector("#jobs .password").hidden`)
	require.True(t, browser.Evaluate[bool](tab, `document.activeElement.matches("#jobs [type=password]")`), "the next one can be typed")

	tab.Reload()
	tab.Wait(`document.querySelector("#jobs .password") && !document.querySelector("#jobs .password").hidden`)
	require.False(t, browser.Evaluate[bool](tab, `document.querySelector(".file-field").hidden`))
	tab.Choose("#jobs [type=file]", path...)
	tab.Type("#jobs [type=password]", "foo\r")
	tab.Wait(inState("succeeded") + " === 1")
	require.True(t, browser.Evaluate[bool](tab, `document.activeElement.matches("#jobs .remove")`), "the focus stays at the document")
	require.NotContains(t, browser.Evaluate[string](tab, `JSON.stringify(localStorage)`), "foo")
}

func pageSurvivesReload(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	convert(tab, files(t, "odftoolkit__Presentation7.odp", "synth-letter.txt")...) // the first takes seconds
	tab.Wait(inState("running") + " >= 1 || " + inState("queued") + " >= 1")
	tab.Wait(inState("uploading") + " === 0")
	tab.Reload()
	tab.Wait(inState("succeeded") + " === 2")
	require.Contains(t, tab.Text("#jobs li:first-child .state"), "100 pages")
}

func pageKeepsTabsInStep(t *testing.T, p *pageBundle) {
	first := p.open(t, "/")
	second := first.Open("/")
	convert(first, files(t, "synth-letter.txt", "synth-table.csv")...)
	for _, tab := range []*browser.Tab{first, second} {
		tab.Wait(inState("succeeded") + " === 2")
	}
	second.Click("#jobs li:first-child .remove")
	first.Wait(`document.querySelectorAll("#jobs > li").length === 1`)
	require.Contains(t, first.Text("#jobs .name"), "synth-table.csv")
}

// pageKeepsWhatTwoTabsAdd adds documents in two tabs at the same time. Empty ones are added at once.
func pageKeepsWhatTwoTabsAdd(t *testing.T, p *pageBundle) {
	const each = 100
	paths := textFiles(t, each, "")
	first := p.open(t, "/")
	tabs := []*browser.Tab{first, first.Open("/")}
	for _, tab := range tabs {
		tab.Choose("#files", paths...)
		tab.Wait(fmt.Sprintf(`document.querySelectorAll("#chosen-files li").length === %d`, each))
	}
	at := time.Now().Add(time.Second / 2).UnixMilli()
	for _, tab := range tabs {
		browser.Evaluate[int](tab, fmt.Sprintf(`setTimeout(() => document.querySelector("#convert").click(), %d - Date.now())`, at))
	}
	all := fmt.Sprintf("%s === %d", inState("failed"), 2*each)
	for _, tab := range tabs {
		tab.Wait(all)
	}
	first.Reload()
	first.Wait(all)
}

// pageConvertsWithoutExtension sets an option that applies to any document, to a password that begins with a space.
func pageConvertsWithoutExtension(t *testing.T, p *pageBundle) {
	content, err := os.ReadFile(document("aspose.slides-for-.net__HiddingSlides.pptx"))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "deck")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	tab := p.open(t, "/")
	tab.Choose("#files", path)
	tab.Wait(`document.querySelector("#option-user_password")`)
	require.True(t, browser.Evaluate[bool](tab, `!document.querySelector("#option-hidden_slides")`), "only of presentations")
	tab.Click("#options summary")
	tab.Type("#option-user_password", " ")
	tab.Click("#convert")
	tab.Wait(inState("succeeded") + " === 1")
	require.Equal(t, "presentation", browser.Evaluate[string](tab, `document.querySelector("#jobs .tile").dataset.family`))
	require.Contains(t, string(download(t, tab, "#jobs .download")), "/Encrypt")
}

func pageTellsWhatItSkips(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	tab.Choose("#files", textFiles(t, 1001, "")...)
	tab.Wait(`document.querySelectorAll("#chosen-files li").length === 1000`)
	require.Equal(t, "Only the first 1,000 documents were added.", tab.Text("#skipped"))
	tab.Click("#clear")
	tab.Wait(`document.querySelector("#skipped").textContent === ""`)
}

// faultyProxy passes on what it gets, but loses answers. It lets no events through.
type faultyProxy struct {
	forward http.Handler
	// confirm is closed when the third answer may be lost.
	confirm chan struct{}
	// hidden is whether it hides that jobs exist.
	hidden             atomic.Bool
	submissions, polls atomic.Int32
	// answers are those of Docmill to the submissions, with their keys.
	answers chan keyedAnswer
}

type keyedAnswer struct {
	key, id  string
	replayed bool
}

// ServeHTTP answers two polls itself.
func (f *faultyProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/events"):
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.Method == http.MethodPost:
		f.submit(w, r)
	case !strings.HasPrefix(r.URL.Path, "/v1/jobs/"):
		f.forward.ServeHTTP(w, r)
	case f.hidden.Load():
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"code":"job-not-found","detail":"The job is not recorded."}`)
	default:
		switch f.polls.Add(1) {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			_, _ = io.WriteString(w, "<h1>Please log in</h1>")
		default:
			f.forward.ServeHTTP(w, r)
		}
	}
}

// submit passes on a submission. It answers the first two itself, and loses the answer to the third.
func (f *faultyProxy) submit(w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	f.forward.ServeHTTP(answer, r)
	var job struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &job)
	f.answers <- keyedAnswer{r.Header.Get("Idempotency-Key"), job.ID, answer.Header().Get("Idempotent-Replayed") == "true"}
	switch f.submissions.Add(1) {
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"code":"internal","detail":"An unexpected error occurred."}`)
	case 2:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"code":"queue-unconfirmed","detail":"The queue did not confirm in time."}`)
	case 3:
		<-f.confirm
		panic(http.ErrAbortHandler)
	default:
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}
}

// pageSurvivesFaultyProxy uses a proxy that loses the answers to three submissions. There is only one job.
func pageSurvivesFaultyProxy(t *testing.T, p *pageBundle) {
	docmill, err := url.Parse(p.system.URL())
	require.NoError(t, err)
	proxy := &faultyProxy{forward: httputil.NewSingleHostReverseProxy(docmill), confirm: make(chan struct{}), answers: make(chan keyedAnswer, 10)}
	front := httptest.NewUnstartedServer(proxy)
	front.Config.SetKeepAlivesEnabled(false) // Chromium by itself repeats what it sent on a connection that it had used before
	front.Start()
	t.Cleanup(front.Close)

	tab := p.browser.Open(t, front.URL, "/")
	convert(tab, files(t, "synth-letter.txt")...)
	tab.Wait(inState("failed") + " === 1")
	tab.Click("#jobs .again")
	require.True(t, browser.Evaluate[bool](tab, `document.activeElement.matches("#jobs .remove")`), "the focus stays at the document")
	tab.Wait(`document.querySelector("#jobs .words").textContent === "The queue did not confirm in time. Trying again…"`)
	tab.Wait(`document.querySelector("#jobs .words").textContent === "Checking the document"`)
	close(proxy.confirm)
	tab.Wait(`document.querySelector("#jobs .words").textContent === "No connection to Docmill. Trying again…"`)
	tab.Wait(inState("succeeded") + " === 1")
	first := <-proxy.answers
	require.NotEmpty(t, first.key)
	require.NotEmpty(t, first.id)
	require.False(t, first.replayed)
	for range 3 {
		require.Equal(t, keyedAnswer{first.key, first.id, true}, <-proxy.answers)
	}
	require.Empty(t, proxy.answers)

	tab.Reload()
	tab.Wait(`document.querySelector("#link").textContent.includes("status 500")`)
	tab.Wait(inState("succeeded") + ` === 1 && document.querySelector("#link").textContent === ""`)
	proxy.hidden.Store(true)
	tab.Reload()
	tab.Wait(inState("failed") + ` === 1 && document.querySelector("#jobs .words").textContent === "No longer available"`)
}

// pageUploadsAnew requires that a document is converted again whose job another client has deleted.
func pageUploadsAnew(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	convert(tab, files(t, slowDocument)...)
	tab.Wait(`document.querySelector("#jobs .cancel:not([hidden])")`)
	tab.Click("#jobs .cancel")
	tab.Wait(inState("canceled") + " === 1")
	const idOf = `document.querySelector("#jobs .name").href.split("/").pop()`
	id := browser.Evaluate[string](tab, idOf)
	require.NoError(t, p.client.Delete(p.ctx, id))
	tab.Click("#jobs .again")
	tab.Wait(inState("succeeded") + " === 1")
	require.NotEqual(t, id, browser.Evaluate[string](tab, idOf))
}

// textFiles writes files with the same text and returns their paths.
func textFiles(t *testing.T, count int, text string) []string {
	t.Helper()
	dir := t.TempDir()
	paths := make([]string, count)
	for i := range paths {
		paths[i] = filepath.Join(dir, fmt.Sprintf("letter-%03d.txt", i+1))
		require.NoError(t, os.WriteFile(paths[i], []byte(text), 0o600))
	}
	return paths
}

// download requests what the first link that matches a selector refers to.
func download(t *testing.T, tab *browser.Tab, selector string) []byte {
	t.Helper()
	response, err := http.Get(browser.Evaluate[string](tab, fmt.Sprintf("document.querySelector(%q).href", selector)))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return body
}

func pageConvertsMany(t *testing.T, p *pageBundle) {
	const many = 100
	tab := p.open(t, "/")
	convert(tab, textFiles(t, many, "A letter.")...)
	tab.Wait(fmt.Sprintf("%s === %d", inState("succeeded"), many))
	require.LessOrEqual(t, tab.MostStreams(), 2, "a browser has few connections")
	require.Contains(t, tab.Text("#jobs li:first-child .name"), "letter-001.txt", "the order is kept")

	require.Equal(t, "Download all", tab.Text("#archives"))
	body := download(t, tab, "#archives a")
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	require.NoError(t, err)
	require.Len(t, archive.File, many)
	require.Equal(t, "letter-001.pdf", archive.File[0].Name)
}

func pageRefusesLargeFiles(t *testing.T, p *pageBundle) {
	large := filepath.Join(t.TempDir(), "large.txt")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, 17<<20))
	empty := filepath.Join(t.TempDir(), "empty.txt")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	tab := p.open(t, "/")
	convert(tab, large, empty)
	tab.Wait(inState("failed") + " === 2")
	require.Equal(t, "The document is 17 MB; the maximum is 16 MB.", tab.Text("#jobs .detail"))
	require.Equal(t, "Send a smaller file, or ask the operator to raise max-upload-size.", tab.Text("#jobs .remedy"))
	require.Equal(t, "The file is empty.", tab.Text("#jobs li:nth-child(2) .detail"))
}

func pageShowsHostileNames(t *testing.T, p *pageBundle) {
	dir := t.TempDir()
	names := []string{
		`<img src=x onerror=alert(1)>.txt`,
		"invoice\u202efdp.txt",
		strings.Repeat("very long ", 19) + "name.txt",
		"ملف عربي.txt",
		"&amp;lt;b&gt;\"';.txt",
	}
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(paths[i], []byte("A letter."), 0o600))
	}
	tab := p.open(t, "/")
	for _, width := range []int64{1280, 390} {
		tab.Resize(width, 800)
		convert(tab, paths...)
		tab.Wait(fmt.Sprintf(`%s === document.querySelectorAll("#jobs > li").length`, inState("succeeded")))
		require.Equal(t, names[0], tab.Text("#jobs li:nth-child(1) .name"))
		require.Equal(t, "invoice\ufffdfdp.txt", tab.Text("#jobs li:nth-child(2) .name"))
		require.True(t, browser.Evaluate[bool](tab, `document.documentElement.scrollWidth <= innerWidth`), "nothing is wider than the window")
	}
	require.Zero(t, browser.Evaluate[int](tab, `document.querySelectorAll("main [onerror], #jobs img").length`))
}

func pageOfOneJob(t *testing.T, p *pageBundle) {
	job := p.submit(t, "aspose.slides-for-.net__HiddingSlides.pptx")
	tab := p.open(t, "/jobs/"+job.ID)
	tab.Wait(`document.querySelector("#job [data-state=succeeded]")`)
	require.Equal(t, "aspose.slides-for-.net__HiddingSlides.pptx", tab.Text("h1:not(#home h1)"))
	require.Contains(t, tab.Text("#details"), job.ID)
	require.Contains(t, tab.Text("#details"), "LibreOffice")
	tab.RequireAccessible("the page of a job")
	for _, path := range []string{"/jobs/no-id", "/jobs/00000000-0000-4000-8000-000000000000", "/jobs/%3Cimg%20src=x%3E"} {
		tab = p.open(t, path)
		tab.Wait(`document.querySelector("#job [data-state=failed]")`)
		require.Equal(t, "The job does not exist", tab.Text("#job-title"))
		require.NotEmpty(t, tab.Text("#job .remedy"))
	}
	tab.RequireAccessible("the page of a job that does not exist")
}

// slowDocument takes seconds to convert.
const slowDocument = "odftoolkit__Presentation7.odp"

// status returns the HTTP status of a job.
func (p *pageBundle) status(t *testing.T, id string) int {
	t.Helper()
	response, err := p.contract.RoundTrip(p.get(t, "/v1/jobs/"+id))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func pageCancelsAndDeletes(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	other := tab.Open("/") // shares the list; opened first, because it takes as long as the conversion
	convert(tab, files(t, slowDocument)...)
	tab.Wait(`document.querySelector("#jobs .cancel:not([hidden])")`)
	tab.Do(chromedp.Focus(chromedp.CSS("#jobs .cancel")), chromedp.KeyEvent("\r"))
	tab.Wait(inState("canceled") + " === 1")
	other.Wait(inState("canceled") + " === 1")
	require.Equal(t, "Canceled", tab.Text("#jobs .words"))
	require.Equal(t, "0 done, 1 canceled", tab.Text("#summary"))
	require.Regexp(t, `deleted on .+`, tab.Text("#jobs .expires"))
	tab.Wait(`document.activeElement.matches("#jobs .again")`) // for those who use the keyboard
	tab.RequireAccessible("a canceled conversion")

	tab.Do(chromedp.KeyEvent("\r"))
	tab.Wait(inState("succeeded") + " === 1")
	other.Wait(inState("succeeded") + " === 1")
	id := browser.Evaluate[string](tab, `document.querySelector("#jobs .name").href.split("/").pop()`)
	require.Equal(t, http.StatusOK, p.status(t, id))

	ask := func() {
		tab.Wait(`document.querySelector("#jobs .delete:not([aria-disabled])")`) // the answer before was received
		tab.Click("#jobs .delete")
	}
	ask()
	tab.Wait(`document.querySelector("#confirm").open && document.activeElement.id === "confirm-no"`)
	tab.RequireAccessible("the question before a deletion")
	tab.Do(chromedp.KeyEvent("\u001b")) // Escape
	tab.Wait(`!document.querySelector("#confirm").open && document.activeElement.matches("#jobs .delete")`)
	ask()
	tab.Click("#confirm-no")
	require.Equal(t, http.StatusOK, p.status(t, id))
	ask()
	tab.Click("#confirm-yes")
	tab.Wait(`document.querySelector("#work").hidden && document.activeElement.id === "files"`)
	other.Wait(`document.querySelector("#work").hidden`)
	tab.Wait(`document.querySelector("#announcement").textContent.includes("was deleted")`)
	require.Equal(t, http.StatusGone, p.status(t, id))
}

func pageOfOneJobChangesIt(t *testing.T, p *pageBundle) {
	job := p.submit(t, slowDocument)
	tab := p.open(t, "/jobs/"+job.ID)
	tab.Wait(`document.querySelector("#job .cancel:not([hidden])")`)
	tab.Click("#job .cancel")
	tab.Wait(`document.querySelector("#job [data-state=canceled]")`)
	tab.RequireAccessible("the page of a canceled job")
	tab.Click("#job .again")
	tab.Wait(`document.querySelector("#job [data-state=succeeded]")`)
	require.Regexp(t, `Retries\s*1`, tab.Text("#details"))
	require.Regexp(t, `Deleted on\s*\w`, tab.Text("#details"))
	tab.Click("#job .delete")
	tab.Click("#confirm-yes")
	for range 2 {
		tab.Wait(`document.querySelector("#job [data-state=gone]")`)
		require.Equal(t, "Deleted", tab.Text("#job .words"))
		require.Equal(t, "The job was deleted", tab.Text("#job-title"))
		require.True(t, browser.Evaluate[bool](tab, `document.querySelector("#details").hidden && document.querySelector("#job .delete").hidden`))
		tab.RequireAccessible("the page of a deleted job")
		tab.Reload()
	}
}

// pageShowsExpiry requires that an open page shows that a job has expired.
func pageShowsExpiry(t *testing.T, p *pageBundle) {
	job, err := p.submitWith("synth-letter.txt", map[string]string{"expires_in": "60"})
	require.NoError(t, err)
	tab := p.open(t, "/jobs/"+job.ID)
	tab.Wait(`document.querySelector("#job [data-state=succeeded]")`)
	tab.Wait(`document.querySelector("#job [data-state=gone]")`)
	require.Equal(t, "Expired", tab.Text("#job .words"))
	require.Contains(t, tab.Text("#job .remedy"), "Convert the document again.")
	require.True(t, browser.Evaluate[bool](tab, `document.querySelector("#job .download").hidden`))
}

func pageIsAccessible(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	tab.RequireAccessible("the empty page")
	convert(tab, files(t, "aspose.slides-for-.net__HiddingSlides.pptx", "synth-letter.txt", "synth-all-hidden.pptx", "gotenberg__protected_page_1.docx")...)
	tab.Wait(inState("succeeded") + " === 2 && " + inState("failed") + " === 2")
	tab.Choose("#files", files(t, "sample.pptx", "synth-table.xlsx")...)
	tab.Click("#options summary")
	tab.RequireAccessible("conversions and options")
	tab.Resize(390, 800)
	tab.Dark(true)
	tab.RequireAccessible("the same on a phone in dark mode")
	require.True(t, browser.Evaluate[bool](tab, `document.documentElement.scrollWidth <= innerWidth`), "nothing is wider than the window")
}

// pageWaitsForServer kills the process that serves the page.
func pageWaitsForServer(t *testing.T, p *pageBundle) {
	tab := p.open(t, "/")
	convert(tab, files(t, "odftoolkit__Presentation7.odp")...) // takes seconds
	tab.Wait(inState("queued") + " + " + inState("running") + " === 1")
	require.NoError(t, p.system.Gateway.Kill())
	tab.Wait(`document.querySelector("#link").textContent !== ""`)
	convert(tab, files(t, "synth-letter.txt")...)
	tab.Wait(`document.querySelector("#jobs").textContent.includes("No connection to Docmill. Trying again…")`)
	require.NoError(t, p.system.Gateway.Start(p.ctx))
	tab.Wait(inState("succeeded") + ` === 2 && document.querySelector("#link").textContent === ""`)
}

// TestWebPageOfABusyServer uses a server that accepts one upload at a time, and refuses the others for a while.
func TestWebPageOfABusyServer(t *testing.T) {
	t.Parallel()
	settings := []string{"DOCMILL_MAX_UPLOADS=1", "DOCMILL_MAX_OPEN_UPLOADS=1"}
	b := startEmbedded(t, filepath.Join(t.TempDir(), "data"), settings...)
	p := &pageBundle{testBundle: b, browser: browser.Start(t)}
	tab := p.open(t, "/")
	tab.LimitUploads(100 << 10) // so that uploads overlap
	convert(tab, files(t, "aspose.slides-for-.net__HiddingSlides.pptx", "synth-deck.ppsx", "synth-deck.potx")...)
	tab.Wait(`document.querySelector("#jobs").textContent.includes("Trying again…")`)
	tab.LimitUploads(0)
	tab.Wait(inState("succeeded") + " === 3")
}

// TestScreenshots checks the pictures in the README. With -update it makes them anew.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	images := filepath.Join(project, "docs", "images")
	if *update {
		takeScreenshots(t, images)
	}
	const maxSize = 150 << 10
	for name, width := range map[string]int{"page.png": 1280, "page-phone.png": 390} {
		content, err := os.ReadFile(filepath.Join(images, name))
		require.NoError(t, err)
		require.Less(t, len(content), maxSize)
		picture, err := png.DecodeConfig(bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, width, picture.Width)
	}
}

// takeScreenshots shows conversions in most states.
func takeScreenshots(t *testing.T, images string) {
	t.Helper()
	p := &pageBundle{testBundle: startEmbedded(t, filepath.Join(t.TempDir(), "data")), browser: browser.Start(t)}
	dir := t.TempDir()
	renamed := func(from, to string) string {
		content, err := os.ReadFile(document(from))
		require.NoError(t, err)
		path := filepath.Join(dir, to)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	tab := p.open(t, "/")
	convert(tab, renamed("aspose.slides-for-.net__HiddingSlides.pptx", "Quarterly review.pptx"),
		renamed("gotenberg__protected_page_1.docx", "Contract.docx"), renamed("synth-three-pages.docx", "Offer.docx"))
	tab.Wait(inState("failed") + " === 1 && " + inState("succeeded") + " === 2")
	convert(tab, renamed("odftoolkit__Presentation7.odp", "Catalog.odp")) // takes seconds
	tab.Wait(`document.querySelector("[data-state=running] progress")?.value > 30`)
	tab.Do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	for _, shot := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"page.png", 1280, 860, false}, {"page-phone.png", 390, 860, true}} {
		tab.Resize(shot.width, shot.height)
		tab.Dark(shot.dark)
		require.NoError(t, os.MkdirAll(images, 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(images, shot.name), tab.Screenshot(), 0o600))
	}
}
