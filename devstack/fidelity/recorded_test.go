package fidelity

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// result returns the result of a document in which all scores are the same.
func result(family, name string, score float64) Result {
	one := Result{Pair: Pair{Family: family, Document: name + ".docx"}, Engine: "25.2"}
	for m := range one.Scores {
		one.Scores[m] = score
	}
	return one
}

func TestRecordedScoresAreReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), RecordedName)
	recorded, err := ReadRecorded(path)
	require.NoError(t, err)
	require.Empty(t, recorded)
	recorded.Update([]Result{result("a", "first", 0.5), result("b", "second", 1), {Err: filepath.ErrBadPattern}})
	require.NoError(t, recorded.Write(path))
	again, err := ReadRecorded(path)
	require.NoError(t, err)
	require.Equal(t, recorded, again)
	require.Len(t, again, 2)
}

func TestAFamilyMayFallByTheTolerance(t *testing.T) {
	t.Parallel()
	recorded := Recorded{}
	recorded.Update([]Result{result("a", "first", 0.5), result("a", "second", 0.5), result("b", "third", 0.5)})
	check := func(results ...Result) error { return Check(recorded.Changes("25.2", results)) }
	require.NoError(t, check(result("a", "first", 0.4), result("a", "second", 0.6), result("b", "third", 0.49)), "a family has a mean")
	require.NoError(t, check(result("a", "new", 0)), "without a recorded score")
	require.NoError(t, Check(recorded.Changes("7.4", []Result{result("a", "first", 0)})), "of another version")
	err := check(result("a", "first", 0.47), result("a", "second", 0.48), result("b", "third", 0.5))
	require.ErrorContains(t, err, "a: place is 0.025 below the recorded score")
	require.NotContains(t, err.Error(), "b:")
}
