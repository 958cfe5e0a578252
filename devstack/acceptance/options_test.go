package acceptance_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/client"
	"github.com/docmill/docmill/devstack/testbench"
)

func (b *testBundle) submitWith(t *testing.T, name string, options map[string]string) (client.Job, error) {
	t.Helper()
	content, err := os.ReadFile(document(name))
	require.NoError(t, err)
	return b.client.SubmitForm(b.ctx, name, content, options)
}

// pdf gives what pdfinfo says of a job's result.
func (b *testBundle) pdf(t *testing.T, job client.Job, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result.pdf")
	require.NoError(t, os.WriteFile(path, b.result(t, job), 0o600))
	info, err := exec.CommandContext(b.ctx, "pdfinfo", "-upw", password, path).CombinedOutput()
	require.NoError(t, err, string(info))
	return string(info)
}

// TestPasswordsAreToldToNobody follows secrets through all of Docmill: they open and close what they are for, and nothing that
// is kept of the job has them.
func TestPasswordsAreToldToNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, testbench.New(t))
	const name, right, user, wrong = "gotenberg__protected_page_1.docx", "foo", "let-me-in-4711", "not-it-4712"

	_, err := b.submitWith(t, name, nil)
	var refusal *client.Problem
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "password-required", refusal.Code)

	job, err := b.submitWith(t, name, map[string]string{"password": wrong})
	require.NoError(t, err)
	job, err = b.client.Await(b.ctx, job)
	require.NoError(t, err)
	require.Equal(t, "password-wrong", job.Error.Code)

	job, err = b.submitWith(t, name, map[string]string{"password": right, "user_password": user, "allow_printing": "low"})
	require.NoError(t, err)
	job = b.succeed(t, job)
	require.Equal(t, map[string]any{"allow_printing": "low"}, job.Target.Options)
	info := b.pdf(t, job, user)
	require.Contains(t, info, "Pages:           1")
	require.Contains(t, info, "algorithm:AES-256")

	dump := exec.CommandContext(b.ctx, "pg_dump", "--inserts", b.bench.DatabaseURL)
	dump.Env = append(os.Environ(), "PGPASSWORD="+b.bench.DatabasePassword)
	kept, err := dump.Output()
	require.NoError(t, err)
	require.Contains(t, string(kept), job.ID)
	logs, err := filepath.Glob(filepath.Join(b.logs, "*.log"))
	require.NoError(t, err)
	require.Len(t, logs, 3)
	for _, path := range logs {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		kept = append(kept, text...)
	}
	for _, secret := range []string{user, wrong} {
		require.False(t, bytes.Contains(kept, []byte(secret)), secret)
	}
}

// TestOptionsArriveAndAreShown: what a client chose is what it gets, and what the job says.
func TestOptionsArriveAndAreShown(t *testing.T) {
	t.Parallel()
	b := setup(t, testbench.New(t))
	job, err := b.submitWith(t, "open-xml-sdk__AllSlidesConverterTC.pptx", map[string]string{"pages": "2-3", "pdf_a": "2b"})
	require.NoError(t, err)
	job = b.succeed(t, job)
	require.Equal(t, 2, job.Result.Pages)
	require.Equal(t, map[string]any{"pages": "2-3", "pdf_a": "2b"}, job.Target.Options)

	job, err = b.submitWith(t, "open-xml-sdk__AllSlidesConverterTC.pptx", map[string]string{"pages": "70-"})
	require.NoError(t, err)
	job, err = b.client.Await(b.ctx, job)
	require.NoError(t, err)
	require.Equal(t, "pages-not-found", job.Error.Code)
	require.Contains(t, job.Error.Detail, "5 pages")
}
