package page_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/page"
)

// rendered returns the files by their first path.
func rendered(t *testing.T) map[string]page.File {
	t.Helper()
	web, err := page.Render()
	require.NoError(t, err)
	files := map[string]page.File{}
	for _, file := range web.Files {
		files[file.Paths[0]] = file
	}
	return files
}

// TestEverythingThatIsLoadedExists follows the references from the page and between the scripts.
func TestEverythingThatIsLoadedExists(t *testing.T) {
	t.Parallel()
	files := rendered(t)
	reference := regexp.MustCompile(`(?:from |src=|href=)"([^"#]+)"`)
	loaded := map[string]bool{}
	for name, file := range files {
		require.NotEmpty(t, file.ContentType, name)
		for _, found := range reference.FindAllStringSubmatch(string(file.Content), -1) {
			target := found[1]
			if !strings.HasPrefix(target, "/") {
				target = path.Join(path.Dir(name), target)
			}
			if target != "/docs" { // of package reference
				require.Contains(t, files, target, name)
				loaded[target] = true
			}
		}
	}
	for name := range files {
		require.True(t, loaded[name], "%s is not used", name)
	}
}

// TestNothingIsInlineOrParsedAsHTML: the policy forbids it, so it would fail in the browser only when it is reached.
func TestNothingIsInlineOrParsedAsHTML(t *testing.T) {
	t.Parallel()
	for name, file := range rendered(t) {
		text := string(file.Content)
		require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("(on|style)`, text, name)
		require.NotRegexp(t, `<style|<script>|<[^>]+ (style|on[a-z]+)=`, text, name)
		require.NotRegexp(t, `(https?:)?//[a-z0-9]+\.[a-z]`, strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, ""), name)
	}
}

func TestTextsComeFromTheCatalog(t *testing.T) {
	t.Parallel()
	html := string(rendered(t)["/"].Content)
	for code, warning := range problem.Warnings() {
		require.Contains(t, html, `<div data-code="`+string(code)+`"><dt>`+warning.Title+"</dt>")
	}
	require.Contains(t, html, problem.Remedy(problem.FileTooLarge))
	require.Contains(t, html, "Try again. The document is converted only once.")
}

// TestPeopleDoNotReadTermsOfTheAPI checks the remedies that the page shows, its own or those of the catalog.
func TestPeopleDoNotReadTermsOfTheAPI(t *testing.T) {
	t.Parallel()
	// The page does not send what leads to these.
	onlyPrograms := []problem.Code{
		problem.FileMissing, problem.FileRepeated, problem.FormInvalid, problem.HeaderInvalid, problem.ParameterInvalid, problem.JobNotFinished,
		problem.JobFailed, problem.ResultsMissing, problem.RangeInvalid, problem.PreconditionFailed, problem.RouteNotFound, problem.MethodNotAllowed,
	}
	const term = `Retry-After|GET /|errors\[\]|\bfield\b|the option [a-z]|\bbytes?\b`
	html := string(rendered(t)["/"].Content)
	_, texts, found := strings.Cut(html, `<template id="texts">`)
	require.True(t, found)
	require.NotRegexp(t, term, texts)
	for code, entry := range problem.Codes() {
		if !slices.Contains(onlyPrograms, code) && !strings.Contains(texts, `data-code="`+string(code)+`"`) {
			require.NotRegexp(t, term, entry.Remedy, code)
		}
	}
}
