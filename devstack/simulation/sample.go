package simulation

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/stat"
)

// Sample is measured values. A value is drawn from it with the same probability for each.
type Sample []float64

// ReadSample reads a sample: CSV with a header, a column "seconds", and comments after #.
func ReadSample(from io.Reader) (Sample, error) {
	reader := csv.NewReader(from)
	reader.Comment = '#'
	rows, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the sample: %w", err)
	}
	if len(rows) < 2 { // the header and a value
		return nil, errors.New("read the sample: it has no values")
	}
	column := slices.Index(rows[0], "seconds")
	if column < 0 {
		return nil, errors.New(`read the sample: it has no column "seconds"`)
	}
	var sample Sample
	for _, row := range rows[1:] {
		value, err := strconv.ParseFloat(row[column], 64)
		if err != nil || value < 0 {
			return nil, fmt.Errorf("read the sample: %q is not a number of seconds", row[column])
		}
		sample = append(sample, value)
	}
	return sample, nil
}

// Mean returns the average.
func (s Sample) Mean() float64 { return stat.Mean(s, nil) }

// Quantile returns the value below which a share of the values is.
func (s Sample) Quantile(share float64) float64 {
	return stat.Quantile(share, stat.Empirical, slices.Sorted(slices.Values(s)), nil)
}

// draw returns one of the values; 0 if there are none.
func (s Sample) draw(random *rand.Rand) float64 {
	if len(s) == 0 {
		return 0
	}
	return s[random.IntN(len(s))]
}
