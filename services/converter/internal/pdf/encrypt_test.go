package pdf_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
)

func setupEncrypter(t *testing.T) (*pdf.Encrypter, pdf.EncryptRequest) {
	t.Helper()
	encrypter := pdf.NewEncrypter(findTools(t), generous())
	directory := t.TempDir()
	path := filepath.Join(t.TempDir(), "result.pdf")
	require.NoError(t, os.WriteFile(path, pdftest.Pages("9 9"), 0o600))
	return encrypter, pdf.EncryptRequest{Directory: directory, PDF: path}
}

// encryption returns what qpdf prints about a file that it opens with a password.
func encryption(t *testing.T, path, password string) (string, error) {
	t.Helper()
	said, err := exec.Command("qpdf", "--show-encryption", "--password="+password, path).CombinedOutput()
	return string(said), err
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ user, owner string }{
		"user": {user: "s3cret"}, "owner": {owner: "m4ster"}, "both": {"s3cret", "m4ster"},
		"like options": {"--decrypt", "@/etc/passwd"}, "many scripts": {"Grüße, Привет", "你好 \"\\ \n é"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encrypter, request := setupEncrypter(t)
			request.Secrets = &conversionv1.Secrets{UserPassword: new(c.user), OwnerPassword: new(c.owner)}
			require.True(t, pdf.WantsEncryption(nil, request.Secrets))
			path, err := encrypter.Encrypt(t.Context(), request)
			require.NoError(t, err)
			entries, err := os.ReadDir(request.Directory)
			require.NoError(t, err)
			require.Len(t, entries, 1, "no file with a password is left")

			said, err := encryption(t, path, c.user)
			require.NoError(t, err, said)
			require.Contains(t, said, "stream encryption method: AESv3")
			require.Contains(t, said, "modify anything: allowed")
			if c.user == "" {
				require.NotContains(t, said, "Supplied password is owner password")
			} else {
				said, err = encryption(t, path, "")
				require.NoError(t, err)
				require.Contains(t, said, "Incorrect password supplied")
				require.ErrorContains(t, exec.Command("pdfinfo", path).Run(), "exit status 1")
			}
			if c.owner != "" {
				said, err = encryption(t, path, c.owner)
				require.NoError(t, err)
				require.Contains(t, said, "Supplied password is owner password")
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	printing := map[conversionv1.Printing]string{
		conversionv1.Printing_PRINTING_NONE: "none", conversionv1.Printing_PRINTING_LOW: "low", conversionv1.Printing_PRINTING_FULL: "full",
	}
	for allowed, name := range printing {
		said := permissions(t, &conversionv1.Options{AllowPrinting: allowed})
		require.Equal(t, name == "full", said["print high resolution"])
		require.Equal(t, name != "none", said["print low resolution"])
		require.True(t, said["modify anything"])
		require.True(t, said["extract for any purpose"])
	}
	changes := []conversionv1.Changes{
		conversionv1.Changes_CHANGES_NONE, conversionv1.Changes_CHANGES_PAGES, conversionv1.Changes_CHANGES_FORMS,
		conversionv1.Changes_CHANGES_COMMENTS, conversionv1.Changes_CHANGES_ALL,
	}
	for i, allowed := range changes {
		said := permissions(t, &conversionv1.Options{AllowChanges: allowed})
		for j, name := range []string{"modify document assembly", "modify forms", "modify annotations", "modify other"} {
			require.Equal(t, i > j, said[name], "%s %s", allowed, name)
		}
		require.True(t, said["print high resolution"])
	}
	for _, allowed := range []bool{true, false} {
		said := permissions(t, &conversionv1.Options{AllowCopying: new(allowed)})
		require.Equal(t, allowed, said["extract for any purpose"])
		require.True(t, said["extract for accessibility"], "screen readers may always extract text")
	}
}

// permissions returns what is permitted without the owner password, for a PDF that was encrypted by options alone.
func permissions(t *testing.T, options *conversionv1.Options) map[string]bool {
	t.Helper()
	encrypter, request := setupEncrypter(t)
	request.Options = options
	require.True(t, pdf.WantsEncryption(options, nil))
	path, err := encrypter.Encrypt(t.Context(), request)
	require.NoError(t, err)
	said, err := encryption(t, path, "")
	require.NoError(t, err, said)
	allowed := map[string]bool{}
	for line := range strings.Lines(said) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		allowed[name] = value == "allowed"
	}
	return allowed
}

func TestEncryptionIsOptional(t *testing.T) {
	t.Parallel()
	require.False(t, pdf.WantsEncryption(nil, nil))
	require.False(t, pdf.WantsEncryption(&conversionv1.Options{Pages: new("1")}, &conversionv1.Secrets{Password: new("opens")}))
}

func TestEncryptFailures(t *testing.T) {
	t.Parallel()
	secrets := &conversionv1.Secrets{UserPassword: new("s3cret")}
	t.Run("no PDF", func(t *testing.T) {
		t.Parallel()
		encrypter, request := setupEncrypter(t)
		require.NoError(t, os.WriteFile(request.PDF, []byte("no PDF"), 0o600))
		request.Secrets = secrets
		_, err := encrypter.Encrypt(t.Context(), request)
		require.Equal(t, problem.DocumentMalformed, problem.From(err).Code)
		require.NotContains(t, err.Error(), "s3cret")
	})
	t.Run("no time", func(t *testing.T) {
		t.Parallel()
		encrypter, request := setupEncrypter(t)
		request.Secrets, request.Spent = secrets, time.Hour
		_, err := encrypter.Encrypt(t.Context(), request)
		require.Equal(t, problem.ConversionTimeout, problem.From(err).Code)
	})
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		encrypter, request := setupEncrypter(t)
		request.Secrets = secrets
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := encrypter.Encrypt(ctx, request)
		require.ErrorIs(t, err, context.Canceled)
	})
}
