package fidelity

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// RecordedName is the name of the file of recorded scores in a directory of pairs.
const RecordedName = "scores.tsv"

// Tolerance is how far the mean of a family may fall below its recorded value.
const Tolerance = 0.02

// Recorded are the scores of documents, as they were when somebody last accepted them.
type Recorded map[version]Scores

// version is a document converted by a version of LibreOffice.
type version struct{ engine, document string }

// ReadRecorded reads a file of recorded scores. If it does not exist, nothing is recorded.
func ReadRecorded(path string) (Recorded, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Recorded{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read recorded scores: %w", err)
	}
	defer file.Close()
	lines, err := tabSeparated(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	recorded := Recorded{}
	for _, line := range lines {
		if len(line) != 2+int(measures) {
			return nil, fmt.Errorf("%s: the line %q does not have %d values", path, line, 2+int(measures))
		}
		var scores Scores
		for m := range scores {
			if scores[m], err = strconv.ParseFloat(line[2+m], 64); err != nil {
				return nil, fmt.Errorf("%s: the score %s of %s: %w", path, Measure(m), line[1], err)
			}
		}
		recorded[version{line[0], line[1]}] = scores
	}
	return recorded, nil
}

// Write replaces the file of recorded scores.
func (r Recorded) Write(path string) error {
	var content strings.Builder
	content.WriteString("# Scores by version of LibreOffice and document. `make fidelity UPDATE=1` replaces those of the installed version.\n")
	content.WriteString("# LibreOffice\tdocument")
	for m := range measures {
		fmt.Fprintf(&content, "\t%s", m)
	}
	content.WriteByte('\n')
	for _, of := range slices.SortedFunc(maps.Keys(r), func(a, b version) int {
		return cmp.Or(cmp.Compare(a.engine, b.engine), cmp.Compare(a.document, b.document))
	}) {
		fmt.Fprintf(&content, "%s\t%s", of.engine, of.document)
		for _, score := range r[of] {
			fmt.Fprintf(&content, "\t%.3f", score)
		}
		content.WriteByte('\n')
	}
	const public = 0o644
	return os.WriteFile(path, []byte(content.String()), public)
}

// Update records the scores of results without an error.
func (r Recorded) Update(results []Result) {
	for _, result := range results {
		if result.Err == nil {
			r[version{result.Engine, result.String()}] = result.Scores
		}
	}
}

// Changes returns the changes of the mean scores of each family since they were recorded for that version of LibreOffice.
// Documents without recorded scores are left out.
func (r Recorded) Changes(engine string, results []Result) map[string]Scores {
	changes := map[string]Scores{}
	for _, family := range families(results) {
		var differences []Scores
		for _, result := range family.results {
			if before, found := r[version{engine, result.String()}]; found {
				differences = append(differences, result.Scores.minus(before))
			}
		}
		if len(differences) > 0 {
			changes[family.name] = Mean(differences)
		}
	}
	return changes
}

func (s Scores) minus(other Scores) Scores {
	for m := range s {
		s[m] -= other[m]
	}
	return s
}

// Check returns an error that lists what fell by more than the tolerance.
func Check(changes map[string]Scores) error {
	var falls []error
	for _, family := range slices.Sorted(maps.Keys(changes)) {
		for m, change := range changes[family] {
			if change < -Tolerance {
				falls = append(falls, fmt.Errorf("%s: %s is %.3f below the recorded score", family, Measure(m), -change))
			}
		}
	}
	return errors.Join(falls...)
}
