package forkserver

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/installation"
)

type sample struct{ file, format string }

// samples are small documents, whose conversion is mostly start-up, and one that is work.
func samples() []sample {
	return []sample{
		{"synth-letter.odt", "odt"},
		{"docling__equations.docx", "docx"},
		{"synth-deck.ppsx", "ppsx"},
		{"open-xml-sdk__AllSlidesConverterTC.pptx", "pptx"},
		{"synth-table.xlsx", "xlsx"},
		{"odftoolkit__Presentation7.odp", "odp"},
	}
}

// BenchmarkAgainstSoffice takes both times in turns, in one run, and reports how many conversions the engine does in the time
// of one by `soffice --convert-to`. Counting the pages of the result is part of the engine's time.
func BenchmarkAgainstSoffice(b *testing.B) {
	common, err := shared()
	require.NoError(b, err)
	program, err := installation.Find("", "soffice.bin")
	require.NoError(b, err)
	for _, s := range samples() {
		content := read(b, s.file)
		b.Run(s.format, func(b *testing.B) {
			profile := b.TempDir()
			soffice(b, program, profile, requestFor(b, content, s.format)) // fills the profile
			var ours, theirs, theirCPU time.Duration
			ourCPU := testutil.ToFloat64(common.metrics.cpu)
			for b.Loop() {
				request := requestFor(b, content, s.format)
				began := time.Now()
				_, err := common.Convert(b.Context(), request)
				ours += time.Since(began)
				require.NoError(b, err)
				took, cpu := soffice(b, program, profile, requestFor(b, content, s.format))
				theirs, theirCPU = theirs+took, theirCPU+cpu
			}
			ourCPU = testutil.ToFloat64(common.metrics.cpu) - ourCPU
			b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ms/engine")
			b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "ms/soffice")
			b.ReportMetric(float64(theirs)/float64(ours), "ratio")
			// Processor time tells the same on a machine that has other things to do.
			b.ReportMetric(1000*ourCPU/float64(b.N), "cpu-ms/engine")
			b.ReportMetric(float64(theirCPU.Milliseconds())/float64(b.N), "cpu-ms/soffice")
			b.ReportMetric(theirCPU.Seconds()/ourCPU, "cpu-ratio")
		})
	}
}

func soffice(b *testing.B, program, profile string, request engine.Request) (took, cpu time.Duration) {
	b.Helper()
	began := time.Now()
	command := exec.Command(filepath.Join(program, "soffice.bin"), "-env:UserInstallation=file://"+profile,
		"--headless", "--convert-to", "pdf", "--outdir", request.Folder, request.Source)
	command.Env = []string{"HOME=" + profile, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "SAL_USE_VCLPLUGIN=svp"}
	_ = command.Run() // 81 on a new profile; the result counts
	took = time.Since(began)
	if _, err := os.Stat(filepath.Join(profile, "filled")); err == nil {
		require.FileExists(b, filepath.Join(request.Folder, "document.pdf"))
	}
	require.NoError(b, os.WriteFile(filepath.Join(profile, "filled"), nil, 0o600))
	return took, command.ProcessState.UserTime() + command.ProcessState.SystemTime()
}

// BenchmarkThroughput converts a short text with as many children at a time as there are cores.
func BenchmarkThroughput(b *testing.B) {
	common, err := shared()
	require.NoError(b, err)
	content := read(b, "docling__equations.docx")
	var left atomic.Int64
	left.Store(int64(b.N))
	began := time.Now()
	var wait sync.WaitGroup
	for range runtime.NumCPU() {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				request := requestFor(b, content, "docx")
				if _, err := common.Convert(context.Background(), request); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "documents/s")
}

// BenchmarkSandbox takes the times of locked-in children and of free ones in turns.
func BenchmarkSandbox(b *testing.B) {
	locked, err := shared()
	require.NoError(b, err)
	free, err := run(Config{RecycleAge: time.Hour, RecycleConversions: 1 << 20, RecycleGrowth: 1 << 30, unconfined: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, free.stop()) })
	content := read(b, "docling__equations.docx")
	var with, without time.Duration
	for b.Loop() {
		for e, sum := range map[*Engine]*time.Duration{locked.Engine: &with, free.Engine: &without} {
			request := requestFor(b, content, "docx")
			began := time.Now()
			_, err := e.Convert(b.Context(), request)
			*sum += time.Since(began)
			require.NoError(b, err)
		}
	}
	b.ReportMetric(float64(with.Microseconds())/float64(b.N), "µs/locked-in")
	b.ReportMetric(float64(without.Microseconds())/float64(b.N), "µs/free")
	b.ReportMetric(100*(float64(with)/float64(without)-1), "%")
}
