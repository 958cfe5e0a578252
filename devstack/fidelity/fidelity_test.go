package fidelity_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/fidelity"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/system"
)

const (
	project  = "../.."
	testdata = "../../testdata/fidelity"
	patience = 10 * time.Minute
)

// sample selects small documents of each family, in three scripts.
var sample = regexp.MustCompile(`^(o2p-docx/(01|10)|o2p-pptx/06|o2p-xlsx/01|dxs-docx/case7|oc-docx/(Policy|.*-ja)|oc-pptx/Portuguese)`)

func pairs(t *testing.T) []fidelity.Pair {
	t.Helper()
	pairs, err := fidelity.Pairs(testdata)
	require.NoError(t, err)
	return slices.DeleteFunc(pairs, func(p fidelity.Pair) bool { return !sample.MatchString(p.String()) })
}

// start returns a function that converts documents with a `docmill serve` of the test.
func start(t *testing.T) fidelity.Convert {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := install.Ensure(ctx, nil, install.Converter()...)
	require.NoError(t, err)
	options := system.Options{Release: system.Release{Binaries: t.TempDir()}, Data: t.TempDir(), LogDir: t.TempDir()}
	require.NoError(t, system.Build(ctx, project, options.Binaries, system.Single()))
	docmill, err := system.StartEmbedded(ctx, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, docmill.Stop(context.Background())) })
	return fidelity.Through(client.New(docmill.URL()), t.TempDir())
}

// TestNoFamilyFallsBelowItsRecordedScore is the short form of `make fidelity`.
func TestNoFamilyFallsBelowItsRecordedScore(t *testing.T) {
	t.Parallel()
	results := fidelity.Run(t.Context(), pairs(t), start(t), runtime.NumCPU())
	require.NoError(t, fidelity.WriteDocuments(t.Output(), results))
	for _, result := range results {
		require.NoError(t, result.Err, result.String())
	}
	engine, err := fidelity.EngineOf(results)
	require.NoError(t, err)
	recorded, err := fidelity.ReadRecorded(filepath.Join(testdata, fidelity.RecordedName))
	require.NoError(t, err)
	changes := recorded.Changes(engine, results)
	if len(changes) == 0 {
		t.Skipf("no scores of LibreOffice %s are recorded", engine)
	}
	require.NoError(t, fidelity.Check(changes))
}

func TestReferencesEqualThemselves(t *testing.T) {
	t.Parallel()
	reference := func(_ context.Context, pair fidelity.Pair) (string, error) { return pair.Reference, nil }
	for _, result := range fidelity.Run(t.Context(), pairs(t)[:4], reference, runtime.NumCPU()) {
		require.NoError(t, result.Err, result.String())
		require.Equal(t, fidelity.Scores{1, 1, 1, 1, 1, 1}, result.Scores, result.String())
		require.Empty(t, result.Engine, result.String())
	}
}

func TestAFailureScoresZero(t *testing.T) {
	t.Parallel()
	missing := fidelity.Stored(t.TempDir())
	for _, result := range fidelity.Run(t.Context(), pairs(t), missing, 1) {
		require.ErrorIs(t, result.Err, fs.ErrNotExist)
		require.Equal(t, fidelity.Scores{}, result.Scores)
	}
}

func TestAnotherDocumentScoresLow(t *testing.T) {
	t.Parallel()
	other := func(context.Context, fidelity.Pair) (string, error) {
		return filepath.Join(testdata, "dxs-docx", "case9.pdf"), nil
	}
	for _, result := range fidelity.Run(t.Context(), pairs(t)[:4], other, runtime.NumCPU()) {
		require.NoError(t, result.Err, result.String())
		require.Less(t, result.Scores[fidelity.Place], 0.1, result.String())
		require.Less(t, result.Scores[fidelity.Ink], 0.3, result.String())
	}
}

// TestPairsMayBeDistributed checks that the origin and license of every family is given, and that the repository stays small.
func TestPairsMayBeDistributed(t *testing.T) {
	t.Parallel()
	origins, err := os.ReadFile(filepath.Join(testdata, "README.md"))
	require.NoError(t, err)
	pairs, err := fidelity.Pairs(testdata)
	require.NoError(t, err)
	var size int64
	for _, pair := range pairs {
		require.Regexp(t, `(?m)^\|.*`+"`"+regexp.QuoteMeta(pair.Family)+"`"+`.*\| (Apache-2\.0|CC0-1\.0) \|$`, string(origins))
		for _, path := range []string{pair.Document, pair.Reference} {
			info, err := os.Stat(path)
			require.NoError(t, err)
			size += info.Size()
		}
	}
	require.Less(t, size, int64(15e6))
}
