package libreoffice

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/wire"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/zygote"
	"github.com/docmill/docmill/services/converter/internal/libreoffice/zygote/probe"
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

// BenchmarkAgainstSoffice takes both times in turns, in one run, and reports how many conversions the engine does in
// the time of one by `soffice --convert-to`. Counting the pages of the result is part of the engine's time.
func BenchmarkAgainstSoffice(b *testing.B) {
	common, err := shared()
	require.NoError(b, err)
	program, err := findProgram("")
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
			// Processor time is comparable even on a busy machine.
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
		"--headless", "--convert-to", "pdf", "--outdir", request.Directory, request.Source)
	command.Env = []string{"HOME=" + profile, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "SAL_USE_VCLPLUGIN=svp"}
	_ = command.Run() // 81 on a new profile; the result counts
	took = time.Since(began)
	if _, err := os.Stat(filepath.Join(profile, "filled")); err == nil {
		require.FileExists(b, filepath.Join(request.Directory, "document.pdf"))
	}
	require.NoError(b, os.WriteFile(filepath.Join(profile, "filled"), nil, 0o600))
	return took, command.ProcessState.UserTime() + command.ProcessState.SystemTime()
}

// BenchmarkThroughput converts a short text with as many children at a time as there are cores, and in turns with that
// in one process that converts in a loop, without isolation.
func BenchmarkThroughput(b *testing.B) {
	common, err := shared()
	require.NoError(b, err)
	content := read(b, "docling__equations.docx")
	var ours, theirs time.Duration
	for b.Loop() {
		theirs += oneProcess(b, common.Engine, content, "docx")
		began := time.Now()
		convertAll(b, common.Engine, content, "docx")
		ours += time.Since(began)
	}
	documents := float64(b.N * round)
	b.ReportMetric(documents/ours.Seconds(), "documents/s/engine")
	b.ReportMetric(documents/theirs.Seconds(), "documents/s/one-process")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
}

// round is how many documents are converted in a turn: as many as a zygote accepts at its start, besides the warm-up
// documents.
const round = 48

func convertAll(b *testing.B, e *Engine, content []byte, format string) {
	b.Helper()
	var left atomic.Int64
	left.Store(round)
	var wait sync.WaitGroup
	for range runtime.NumCPU() {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := e.Convert(context.Background(), requestFor(b, content, format)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

// oneProcess returns how long one LibreOffice takes for a round of documents, after its warm-up: a zygote converts them
// itself before its greeting, one after another. It has the priority of children.
func oneProcess(b *testing.B, e *Engine, content []byte, id string) time.Duration {
	b.Helper()
	directory := b.TempDir()
	profile, warm, err := writeProfile(directory, defaults().warmUp())
	require.NoError(b, err)
	place := filepath.Join(directory, probe.OneProcess)
	require.NoError(b, os.Mkdir(place, 0o700))
	format, _ := format.ByID(id)
	target := func(i int) string { return filepath.Join(place, strconv.Itoa(i)+".pdf") }
	for i := range round + 1 { // the clock starts when the first one is done
		source := filepath.Join(place, strconv.Itoa(i)+"."+id)
		require.NoError(b, os.WriteFile(source, content, 0o600))
		warm = append(warm, wire.Warm{
			SourceURL: fileURL(source), LoadOptions: loadOptions(format.Import, ""), TargetURL: fileURL(target(i)), Format: "pdf",
		})
	}
	installation, err := completeInstallation(filepath.Dir(e.program), filepath.Join(directory, "installation"))
	require.NoError(b, err)
	packet, err := wire.Configure{Program: e.program, ProfileURL: fileURL(profile), Warm: warm}.Marshal()
	require.NoError(b, err)
	process, err := zygote.Start(directory, environment(installation), io.Discard)
	require.NoError(b, err)
	require.NoError(b, unix.Setpriority(unix.PRIO_PROCESS, process.PID(), 10))
	require.NoError(b, process.Send(packet, nil))
	i, err := awaitGreeting(b.Context(), process, directory)
	require.NoError(b, err)
	require.NoError(b, i.process.Kill())
	first, err := os.Stat(target(0))
	require.NoError(b, err)
	last, err := os.Stat(target(round))
	require.NoError(b, err)
	return last.ModTime().Sub(first.ModTime())
}

// BenchmarkSandbox measures sandboxed children and unconfined ones in turns. It compares medians, and the processor
// time of the children: other load on the machine affects both less than a mean.
func BenchmarkSandbox(b *testing.B) {
	sandboxed, err := shared()
	require.NoError(b, err)
	free, err := run(Config{RecycleAge: time.Hour, RecycleConversions: 1 << 20, RecycleGrowth: 1 << 30, unconfined: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, free.stop()) })
	content := read(b, "docling__equations.docx")
	const pairs = 20
	var walls, cpus [2][]float64 // milliseconds: with, without
	for b.Loop() {
		for range pairs {
			for _, i := range rand.Perm(2) {
				e := [...]*Engine{sandboxed.Engine, free.Engine}[i]
				request := requestFor(b, content, "docx")
				cpu, began := testutil.ToFloat64(e.metrics.cpu), time.Now()
				_, err := e.Convert(b.Context(), request)
				walls[i] = append(walls[i], time.Since(began).Seconds()*1e3)
				cpus[i] = append(cpus[i], (testutil.ToFloat64(e.metrics.cpu)-cpu)*1e3)
				require.NoError(b, err)
			}
		}
	}
	for unit, times := range map[string][2][]float64{"ms": walls, "cpu-ms": cpus} {
		with, without := median(times[0]), median(times[1])
		b.ReportMetric(with, unit+"/sandboxed")
		b.ReportMetric(without, unit+"/unconfined")
		b.ReportMetric(100*(with/without-1), unit+"-%")
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
