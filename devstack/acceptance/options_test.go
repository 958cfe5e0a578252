package acceptance_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/testbench"
)

func (b *testBundle) submitWith(name string, options map[string]string) (client.Job, error) {
	return b.client.SubmitFile(b.ctx, document(name), client.WithOptions(options))
}

// pdf returns the output of pdfinfo for the result of a job.
func (b *testBundle) pdf(t *testing.T, job client.Job, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result.pdf")
	require.NoError(t, os.WriteFile(path, b.result(t, job), 0o600))
	info, err := exec.CommandContext(b.ctx, "pdfinfo", "-upw", password, path).CombinedOutput()
	require.NoError(t, err, string(info))
	return string(info)
}

// TestPasswordsAreKeptSecret uses passwords end to end: they open a document and encrypt a PDF, and neither the
// database nor a log contains them.
func TestPasswordsAreKeptSecret(t *testing.T) {
	t.Parallel()
	t.Run(string(services), func(t *testing.T) {
		t.Parallel()
		bench := testbench.New(t)
		testPasswords(t, setupServices(t, bench), 3, func(b *testBundle) []byte {
			dump := exec.CommandContext(b.ctx, "pg_dump", "--inserts", bench.DatabaseURL)
			dump.Env = append(os.Environ(), "PGPASSWORD="+bench.DatabasePassword)
			rows, err := dump.Output()
			require.NoError(t, err)
			return rows
		})
	})
	t.Run(string(embedded), func(t *testing.T) {
		t.Parallel()
		testPasswords(t, setup(t, embedded), 1, func(b *testBundle) []byte {
			files, err := filepath.Glob(filepath.Join(b.data, "docmill.db*"))
			require.NoError(t, err)
			return readAll(t, files)
		})
	})
}

func readAll(t *testing.T, paths []string) []byte {
	t.Helper()
	var all []byte
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		all = append(all, content...)
	}
	return all
}

// testPasswords expects logFiles log files. database returns the whole content of the database.
func testPasswords(t *testing.T, b *testBundle, logFiles int, database func(b *testBundle) []byte) {
	t.Helper()
	const name, right, user, wrong = "gotenberg__protected_page_1.docx", "foo", "let-me-in-4711", "not-it-4712"

	_, err := b.submitWith(name, nil)
	var refusal *client.Problem
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, client.CodePasswordRequired, refusal.Code)

	job, err := b.submitWith(name, map[string]string{"password": wrong})
	require.NoError(t, err)
	b.fail(t, job, client.CodePasswordWrong)

	job, err = b.submitWith(name, map[string]string{"password": right, "user_password": user, "allow_printing": "low"})
	require.NoError(t, err)
	job = b.succeed(t, job)
	require.Equal(t, map[string]any{"allow_printing": "low"}, job.Target.Options)
	info := b.pdf(t, job, user)
	require.Contains(t, info, "Pages:           1")
	require.Contains(t, info, "algorithm:AES-256")

	kept := database(b)
	require.Contains(t, string(kept), name, "the dump contains the job")
	logs, err := filepath.Glob(filepath.Join(b.logs, "*.log"))
	require.NoError(t, err)
	require.Len(t, logs, logFiles)
	kept = append(kept, readAll(t, logs)...)
	for _, secret := range []string{user, wrong} {
		require.False(t, bytes.Contains(kept, []byte(secret)), secret)
	}
}

// TestOptionsAreAppliedAndShown checks that options affect the result and that the job lists them.
func TestOptionsAreAppliedAndShown(t *testing.T) {
	t.Parallel()
	forBoth(t, testOptionsAreAppliedAndShown)
}

func testOptionsAreAppliedAndShown(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	const deck = "open-xml-sdk__AllSlidesConverterTC.pptx"
	job, err := b.submitWith(deck, map[string]string{"pages": "2-3", "pdf_a": "2b"})
	require.NoError(t, err)
	job = b.succeed(t, job)
	require.Equal(t, 2, job.Result.Pages)
	require.Equal(t, map[string]any{"pages": "2-3", "pdf_a": "2b"}, job.Target.Options)

	job, err = b.submitWith(deck, map[string]string{"pages": "70-"})
	require.NoError(t, err)
	job = b.fail(t, job, client.CodePagesNotFound)
	require.Contains(t, job.Failure.Detail, "5 pages")
}
