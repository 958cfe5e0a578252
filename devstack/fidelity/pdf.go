package fidelity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// pdf is what pdfinfo tells about a file.
type pdf struct {
	path string
	// engine is the version of LibreOffice that wrote the file.
	engine string
	// sizes are the width and height of each page as it is shown, in points.
	sizes []size
}

type size struct{ width, height float64 }

// Lines of pdfinfo.
var (
	pageSize = regexp.MustCompile(`(?m)^Page +\d+ size: +([\d.]+) x ([\d.]+)`)
	rotation = regexp.MustCompile(`(?m)^Page +\d+ rot: +(\d+)`)
	producer = regexp.MustCompile(`(?m)^Producer: +LibreOffice (\d+\.\d+)`)
)

func describe(ctx context.Context, path string) (pdf, error) {
	const allPages = "1000000"
	output, err := poppler(ctx, "pdfinfo", "-f", "1", "-l", allPages, path)
	if err != nil {
		return pdf{}, err
	}
	described := pdf{path: path}
	if match := producer.FindSubmatch(output); match != nil {
		described.engine = string(match[1])
	}
	rotations := rotation.FindAllSubmatch(output, -1)
	for i, match := range pageSize.FindAllSubmatch(output, -1) {
		page := size{number(match[1]), number(match[2])}
		if i < len(rotations) && int(number(rotations[i][1]))%180 != 0 {
			page.width, page.height = page.height, page.width
		}
		described.sizes = append(described.sizes, page)
	}
	if len(described.sizes) == 0 {
		return pdf{}, fmt.Errorf("%s has no pages", path)
	}
	return described, nil
}

// number parses digits, which a regular expression has found.
func number(digits []byte) float64 {
	value, _ := strconv.ParseFloat(string(digits), 64)
	return value
}

// poppler runs a program of Poppler and returns its output.
func poppler(ctx context.Context, program string, args ...string) ([]byte, error) {
	output, err := exec.CommandContext(ctx, program, args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("%s %v: %w: %s", program, args, err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	return output, nil
}
