package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

func TestProblemHasAllMembers(t *testing.T) {
	t.Parallel()
	_, err := faulty(t, refuse(http.StatusBadRequest, "option-invalid", "Retry-After", "7")).Job(t.Context(), "1")
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.Problem{
		Status: 400, Code: client.CodeOptionInvalid, Title: "Refused", Detail: "It was refused.", Remedy: "Try later.", TraceID: "4bf9",
		Fields: []client.Field{{Name: "to", Detail: "must be pdf"}}, RetryAfter: 7 * time.Second,
	}, *problem)
	require.EqualError(t, err, "Refused: It was refused. to: must be pdf. Try later. (400 Bad Request, code option-invalid)")
	require.True(t, client.IsCode(err, client.CodeOptionInvalid))
	require.False(t, client.IsCode(err, client.CodeBusy))
	require.False(t, client.IsCode(nil, client.CodeBusy))
}

func TestOtherServersAreDetected(t *testing.T) {
	t.Parallel()
	_, err := faulty(t, http.NotFound).Formats(t.Context())
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, 404, problem.Status)
	require.Empty(t, problem.Code)
	require.ErrorContains(t, err, "is not a Docmill answer: 404 page not found")

	_, err = faulty(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }).Job(t.Context(), "1")
	require.ErrorContains(t, err, "is not a job")
}

func TestEndedJobsHaveAnError(t *testing.T) {
	t.Parallel()
	require.NoError(t, client.Job{Status: client.Queued}.Err())
	require.NoError(t, client.Job{Status: client.Succeeded}.Err())
	require.True(t, client.IsCode(client.Job{Status: client.Canceled}.Err(), client.CodeCanceled))
	require.True(t, client.IsCode(client.Job{Status: client.Failed}.Err(), client.CodeInternal))
	failure := &client.JobError{Code: client.CodePasswordWrong, Detail: "It is wrong.", Remedy: "Send another."}
	require.EqualError(t, client.Job{Status: client.Failed, Failure: failure}.Err(), "the job failed: It is wrong. Send another. (password-wrong)")
}
