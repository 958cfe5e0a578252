// Package fidelity measures how near the PDFs of Docmill are to those that Microsoft Office itself exported from the same
// documents. See docs/fidelity.md.
package fidelity

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Measure is one of the measures of a document. Each is a share from 0 to 1, where 1 means no difference.
type Measure int

// The measures. Words are compared on the same page: reference page i with output page i.
const (
	// Pages is 1 if both PDFs have the same number of pages, and otherwise 0.
	Pages Measure = iota
	// Found is the share of the reference's words that are on the same page and in the same order.
	Found
	// Place is the share of the reference's words that are also in the output, on the same page, with their centers at
	// most 1 % of the page's width and of its height from each other.
	Place
	// Breaks is the agreement of line breaks between words that were found: the Dice coefficient, 2·both/(reference + output).
	Breaks
	// Text is the share of the reference's words that are anywhere in the output: what is neither lost nor spelled
	// otherwise.
	Text
	// Ink is the structural similarity of the pages' pictures, in blocks that are not blank in both.
	Ink
	// measures is the number of measures.
	measures
)

func (m Measure) String() string {
	return [measures]string{"pages", "found", "place", "breaks", "text", "ink"}[m]
}

// Scores are the values of all measures.
type Scores [measures]float64

// Mean returns the means of the scores, which must not be empty.
func Mean(of []Scores) Scores {
	var mean Scores
	for _, scores := range of {
		for m, value := range scores {
			mean[m] += value / float64(len(of))
		}
	}
	return mean
}

// Result is what was measured for a pair.
type Result struct {
	Pair

	// Scores are all 0 if there is an error.
	Scores Scores
	// Engine is the version of LibreOffice that wrote the output: 25.2. It is empty if another program wrote it.
	Engine string
	// Err is why the document was not converted or compared.
	Err error
}

// Convert returns the path of the PDF that is to be compared with the reference of the pair.
type Convert func(ctx context.Context, pair Pair) (string, error)

// Run converts and compares the pairs, as many at a time as given, and returns the results in their order. The error of a
// pair is in its result.
func Run(ctx context.Context, pairs []Pair, convert Convert, concurrency int) []Result {
	results := make([]Result, len(pairs))
	var working errgroup.Group
	working.SetLimit(concurrency)
	for i, pair := range pairs {
		working.Go(func() error {
			results[i] = measure(ctx, pair, convert)
			return nil
		})
	}
	_ = working.Wait() // the errors are in the results
	return results
}

func measure(ctx context.Context, pair Pair, convert Convert) Result {
	result := Result{Pair: pair}
	output, err := convert(ctx, pair)
	if err != nil {
		result.Err = err
		return result
	}
	result.Engine, result.Scores, result.Err = compare(ctx, pair, output)
	return result
}

// EngineOf returns the version of LibreOffice that wrote the outputs. It is empty if no document was converted.
func EngineOf(results []Result) (string, error) {
	engine := ""
	for _, result := range results {
		if result.Err == nil && engine == "" {
			engine = result.Engine
		}
		if result.Err == nil && result.Engine != engine {
			return "", fmt.Errorf("the outputs were written by LibreOffice %s and %s", engine, result.Engine)
		}
	}
	return engine, nil
}

// compare returns the version of LibreOffice that wrote the output, and the scores.
func compare(ctx context.Context, pair Pair, output string) (string, Scores, error) {
	ours, err := describe(ctx, output)
	if err != nil {
		return "", Scores{}, err
	}
	theirs, err := describe(ctx, pair.Reference)
	if err != nil {
		return "", Scores{}, err
	}
	span := pair.span(max(len(theirs.sizes), len(ours.sizes)))
	reference, err := words(ctx, pair.Reference, span)
	if err != nil {
		return "", Scores{}, err
	}
	words, err := words(ctx, output, span)
	if err != nil {
		return "", Scores{}, err
	}
	scores := compareText(reference, words)
	if len(theirs.sizes) == len(ours.sizes) {
		scores[Pages] = 1
	}
	if scores[Ink], err = compareInk(ctx, theirs, ours, span); err != nil {
		return "", Scores{}, fmt.Errorf("compare pictures: %w", err)
	}
	return ours.engine, scores, nil
}
