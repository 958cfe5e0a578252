package paper_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/libreoffice"
	"github.com/docmill/docmill/services/converter/internal/paper"
)

const testdata = "../../../../testdata/"

// setup gives an Engine over a LibreOffice of its own.
func setup(t *testing.T) paper.Engine {
	t.Helper()
	next, err := libreoffice.New(
		engine.Config{Timeout: 10 * time.Minute, Memory: 2 << 30, Disk: 2 << 30},
		libreoffice.Config{RecycleAge: time.Hour, RecycleConversions: 1 << 20, RecycleGrowth: 1 << 30},
		t.TempDir(), zap.NewNop(), prometheus.NewRegistry())
	require.NoError(t, err)
	ready, drain, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { ended <- next.Run(context.Background(), func() { close(ready) }, drain) }()
	select {
	case <-ready:
	case err := <-ended:
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		close(drain)
		require.NoError(t, <-ended)
	})
	return paper.Engine{Next: next}
}

// convert gives what pdfinfo and pdftotext say of the document as PDF.
func convert(t *testing.T, e engine.Engine, file string, options *conversionv1.Options) (info, text string) {
	t.Helper()
	id := strings.TrimPrefix(filepath.Ext(file), ".")
	format, found := format.ByID(id)
	require.True(t, found)
	target, _ := format.Target("pdf")
	content, err := os.ReadFile(testdata + file)
	require.NoError(t, err)
	folder := t.TempDir()
	source := filepath.Join(folder, "document."+id)
	require.NoError(t, os.WriteFile(source, content, 0o600))
	output, err := e.Convert(t.Context(), engine.Request{Folder: folder, Source: source, Format: format, Target: target, Options: options})
	require.NoError(t, err)
	said, err := exec.Command("pdfinfo", output.Path).Output()
	require.NoError(t, err)
	words, err := exec.Command("pdftotext", output.Path, "-").Output()
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(said)), " "), string(words)
}

func TestPaperOfSheets(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const wide = "synth-wide.xlsx"
	for name, c := range map[string]struct {
		file    string
		options *conversionv1.Options
		want    []string
	}{
		"as it is":        {wide, nil, []string{"Pages: 6", "595.304 x 841.89 pts (A4)"}},
		"fit width":       {wide, &conversionv1.Options{FitWidth: new(true)}, []string{"Pages: 1"}},
		"A3":              {"synth-table.xlsx", &conversionv1.Options{Paper: conversionv1.Paper_PAPER_A3}, []string{"841.89 x 1190.55 pts (A3)"}},
		"letter":          {"synth-table.ods", &conversionv1.Options{Paper: conversionv1.Paper_PAPER_LETTER}, []string{"612 x 792 pts (letter)"}},
		"landscape":       {"synth-table.xls", &conversionv1.Options{Orientation: conversionv1.Orientation_ORIENTATION_LANDSCAPE}, []string{"841.89 x 595.304 pts (A4)"}},
		"A5, landscape":   {"synth-table.csv", &conversionv1.Options{Paper: conversionv1.Paper_PAPER_A5, Orientation: conversionv1.Orientation_ORIENTATION_LANDSCAPE}, []string{"595.304 x 419.5"}},
		"with a range":    {wide, &conversionv1.Options{Paper: conversionv1.Paper_PAPER_A5, Pages: new("2")}, []string{"Pages: 1", "419"}},
		"other documents": {"synth-letter.odt", &conversionv1.Options{}, []string{"Pages: 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info, _ := convert(t, e, c.file, c.options)
			for _, want := range c.want {
				require.Contains(t, info, want)
			}
		})
	}
	// A csv has no pages, so that nothing stands on them but its cells.
	_, text := convert(t, e, "synth-table.csv", nil)
	require.Contains(t, text, "Київ")
	require.NotContains(t, text, "Page 1")
	require.NotContains(t, text, "document")
	require.NotContains(t, text, "Sheet")
}
