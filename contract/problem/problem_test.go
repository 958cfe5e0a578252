package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/problem"
)

func write(t *testing.T, err error) (*http.Response, problem.Answer) {
	t.Helper()
	recorder := httptest.NewRecorder()
	problem.Write(recorder, httptest.NewRequest(http.MethodGet, "/v1/jobs/7", nil), err)
	var answer problem.Answer
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
	return recorder.Result(), answer
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("submit: %w", problem.New(problem.OptionInvalid, "Two options are wrong.").
		With(problem.Field{Name: "to", Detail: "must be pdf"}).About("7").After(1500*time.Millisecond))
	response, answer := write(t, err)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	require.Equal(t, "2", response.Header.Get("Retry-After"), "rounded up: never too early")
	require.Equal(t, problem.Answer{
		Type: "tag:docmill,2026:problem:option-invalid", Title: "An option is invalid", Status: 400, Code: problem.OptionInvalid,
		Detail: "Two options are wrong.", Remedy: "Correct the options listed in errors[].",
		Instance: "/v1/jobs/7", Job: "7", Errors: []problem.Field{{Name: "to", Detail: "must be pdf"}},
	}, answer)
}

func TestOtherErrorsAreNotShown(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 10.0.0.1: password=hunter2")
	response, answer := write(t, cause)
	require.Equal(t, http.StatusInternalServerError, response.StatusCode)
	require.NotContains(t, fmt.Sprint(answer), "hunter2")
	require.ErrorIs(t, problem.From(cause), cause, "the log still has the chain")
}

func TestFailureOfAJob(t *testing.T) {
	t.Parallel()
	cause := errors.New("no route to host 10.0.0.1")
	require.Equal(t, problem.Failure{Code: problem.StoreUnavailable, Detail: "The store is down.", Retryable: true},
		problem.New(problem.StoreUnavailable, "The store is down.").Because(cause).Failure())
	require.Equal(t, problem.Failure{Code: problem.Internal, Detail: "Internal error.", Retryable: true}, problem.From(cause).Failure())
	require.Equal(t, problem.Failure{Code: problem.PasswordWrong, Detail: "It is wrong."}, problem.New(problem.PasswordWrong, "It is wrong.").Failure())
}

func TestCatalogCannotBeChanged(t *testing.T) {
	t.Parallel()
	clear(problem.Codes())
	clear(problem.Warnings())
	require.NotEmpty(t, problem.Codes())
	require.NotEmpty(t, problem.Warnings())
}

func TestCatalogIsComplete(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for code, entry := range problem.Codes() {
		require.Regexp(t, shape, string(code))
		require.NotEmpty(t, entry.Title, code)
		require.NotEmpty(t, entry.Remedy, code)
		require.GreaterOrEqual(t, entry.Status, 400, code)
	}
	for code, entry := range problem.Warnings() {
		require.Regexp(t, shape, string(code))
		require.NotEmpty(t, entry.Title, code)
		require.NotEmpty(t, entry.Remedy, code)
		require.NotContains(t, problem.Codes(), code, "a code has one meaning")
	}
}

func TestExcerptIsValidText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"deck": "deck", "\xff": "\ufffd", "": "",
		strings.Repeat("x", 64):         strings.Repeat("x", 64),
		strings.Repeat("x", 65):         strings.Repeat("x", 64) + "…",
		"x" + strings.Repeat("ä", 1000): "x" + strings.Repeat("ä", 31) + "…",
	} {
		require.Equal(t, want, problem.Excerpt(text))
	}
}
