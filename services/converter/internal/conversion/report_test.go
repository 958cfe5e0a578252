package conversion

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/preflight"
)

func TestReportFonts(t *testing.T) {
	t.Parallel()
	in := scan{
		Findings: preflight.Findings{Fonts: []preflight.Font{
			{Name: "Arial"},
			{Name: "Brought", Embedded: true},
			{Name: "Calibri"},
			{Name: "Cambria"},
			{Name: "Ignored", Embedded: true},
			{Name: "Installed"},
			{Name: "Lohit", Secondary: true},
			{Name: "SimSun", Secondary: true},
			{Name: "Tahoma", Secondary: true},
			{Name: "Unknown"},
		}},
		installed: map[string]bool{"Installed": true},
		substitutes: map[string]string{
			"Arial": "Liberation Sans", "Brought": "Last One", "Calibri": "Carlito", "Cambria": "Caladea", "Ignored": "Last One",
			"Lohit": "Last One", "SimSun": "Noto CJK", "Tahoma": "Carlito",
		},
		lastResort: "lastone",
	}
	used := map[string]bool{"liberationsans": true, "brought": true, "carlito": true, "lastone": true, "notocjk": true}
	got := map[string]string{}
	for _, font := range reportFonts(in, used) {
		got[font.GetName()] = fmt.Sprint(font.GetFound(), font.GetReplacedBy())
		require.Equal(t, font.GetName() == "Arial" || font.GetName() == "Calibri", font.GetSameMetrics(), font.GetName())
	}
	require.Equal(t, map[string]string{
		"Arial": "falseLiberation Sans", "Calibri": "falseCarlito", "Installed": "true",
		"Brought": "true",          // the result contains it
		"Ignored": "falseLast One", // embedded and not used
		"Cambria": "false",         // not used
		"Unknown": "false",
		"SimSun":  "falseNoto CJK",
		"Tahoma":  "false", // Calibri explains Carlito
		"Lohit":   "false", // the last resort also has the characters that others lack
	}, got)
	for _, font := range reportFonts(in, nil) {
		require.Equal(t, font.GetName() == "Installed", font.GetFound())
		require.Empty(t, font.GetReplacedBy(), "unknown without a PDF")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	r := newReport(time.Time{}, time.Now())
	require.Empty(t, r.warnings())
	for i := range 30 {
		r.message.Fonts = append(r.message.Fonts, &conversionv1.Font{Name: fmt.Sprint(i), ReplacedBy: "X"}, &conversionv1.Font{Name: "y", Found: true})
	}
	r.message.Fonts[2].SameMetrics = true
	r.found(scan{Findings: preflight.Findings{LinksTotal: 1, Links: []string{"x"}, Macros: true}, missing: []rune("가나")}, 2)
	all := r.warnings()
	require.Len(t, all, 24, "at most 20 fonts")
	require.Equal(t, "0 → X", all[0].GetDetail())
	require.Equal(t, "font-substituted", all[0].GetCode())
	require.Equal(t, "font-replaced", all[1].GetCode(), "with the same metrics")
	require.Equal(t, "glyphs-missing", all[20].GetCode())
	require.Equal(t, "2 characters are in no font: 가나", all[20].GetDetail())
	require.Equal(t, "1 link was not followed.", all[21].GetDetail())
	require.Equal(t, "2 hidden slides were omitted.", all[23].GetDetail())

	r.found(scan{missing: []rune(strings.Repeat("가", 30))}, 0)
	require.Equal(t, strings.Repeat("가", 20), r.message.GetMissingCharacters())
	require.Equal(t, "30 characters are in no font: "+strings.Repeat("가", 20)+"…", r.warnings()[20].GetDetail())
}

func TestTimes(t *testing.T) {
	t.Parallel()
	began := time.Now()
	r := newReport(began.Add(time.Hour), began)
	require.Zero(t, r.message.GetQueued().AsDuration(), "clocks differ")
	require.NotNil(t, r.message.GetQueued())
	require.Nil(t, newReport(time.Time{}, began).message.GetQueued(), "the command does not say")

	r.fetched()
	r.progressed(engine.Progress{Phase: engine.Loading, Percent: 50})
	r.converted(engine.Output{Engine: "E"}, errors.New("it failed"))
	require.Equal(t, "E", r.message.GetEngine())
	require.NotNil(t, r.message.GetFetch())
	require.NotNil(t, r.message.GetLoad(), "where it failed")
	require.Nil(t, r.message.GetExport())

	r = newReport(began, began)
	r.fetched()
	r.progressed(engine.Progress{Phase: engine.Saving})
	r.converted(engine.Output{}, errors.New("it failed"))
	require.NotNil(t, r.message.GetLoad())
	require.NotNil(t, r.message.GetExport(), "where it failed")
	require.Nil(t, r.message.GetStore())
}
