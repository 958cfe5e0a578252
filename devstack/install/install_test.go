package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/docmill/docmill/fonts/packages"
)

func TestEverythingIsFoundOrInstalled(t *testing.T) {
	t.Parallel()
	tools, err := Ensure(t.Context(), zap.NewNop(), All()...)
	require.NoError(t, err)
	for _, path := range []string{
		tools.RabbitMQServer, tools.Epmd, filepath.Join(tools.PostgreSQLBin, "postgres"), tools.MinIO,
		tools.Soffice, tools.Pdfinfo, tools.Qpdf, tools.Cwebp, tools.Chromium, tools.Prometheus, tools.Promtool,
	} {
		_, err := exec.LookPath(path)
		require.NoError(t, err)
	}
}

// TestMissingProgramsAreNamed uses an empty PATH, so that neither the programs nor apt-get are found.
func TestMissingProgramsAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Ensure(t.Context(), zap.NewNop(), LibreOffice, Poppler)
	require.ErrorIs(t, err, ErrMissing)
	require.ErrorContains(t, err, "LibreOffice, Poppler missing")
	require.ErrorContains(t, err, "apt-get install -y --no-install-recommends libreoffice-writer-nogui")
}

func TestEveryNeedHasPackages(t *testing.T) {
	t.Parallel()
	for _, need := range All() {
		if need != MinIO && need != Prometheus { // which are not installed as packages
			require.NotEmpty(t, debianPackages([]Need{need}), need)
		}
	}
	require.Equal(t, []string{"poppler-utils", "webp"}, debianPackages([]Need{WebP, Poppler}))
	var wanted []string
	for _, p := range slices.Concat(packages.Relied(), packages.System()) {
		wanted = append(wanted, p.Name)
	}
	require.ElementsMatch(t, wanted, debianPackages([]Need{Fonts}))
	require.NotContains(t, debianPackages([]Need{LibreOffice}), "fonts-liberation")
	require.Contains(t, debianPackages([]Need{LibreOffice}), "libreoffice-math-nogui", "comments are removed")
}

// TestDockerfileUsesTheSameLists: the images have the packages and the MinIO that devstack installs.
func TestDockerfileUsesTheSameLists(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(text), "source=devstack/install/converter-packages.txt")
	require.Contains(t, string(text), "source=devstack/install/minio-version.txt")
	require.NotContains(t, string(text), minioVersion())
	for _, name := range debianPackages(Converter()) {
		require.NotContains(t, strings.Fields(string(text)), name)
	}
}

// TestPackagesAreInstalledWithoutTheirServices runs the script with commands that only print their arguments.
func TestPackagesAreInstalledWithoutTheirServices(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	commands := filepath.Join(root, "commands")
	require.NoError(t, os.Mkdir(commands, 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/sbin"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o700))
	fake := func(name, script string) {
		require.NoError(t, os.WriteFile(filepath.Join(commands, name), []byte("#!/bin/sh\n"+script), 0o700))
	}
	fake("apt-get", `echo "apt-get $*"; cat "$ROOT/usr/sbin/policy-rc.d" "$ROOT"/etc/postgresql-common/createcluster.d/*`)
	fake("systemctl", `echo "systemctl $*"`)
	fake("dpkg-query", `case "$*" in *postgresql*) echo installed;; *) exit 1;; esac`)

	inRoot := strings.NewReplacer("/usr/sbin/", root+"/usr/sbin/", "/etc/", root+"/etc/", "/run/", root+"/run/")
	script := inRoot.Replace(debianScript)
	command := exec.Command("sh", "-c", script, "debian.sh", "rabbitmq-server", "postgresql", "poppler-utils")
	command.Env = []string{"PATH=" + commands + ":" + os.Getenv("PATH"), "ROOT=" + root}
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	text := string(output)
	require.Contains(t, text, "install -y --no-install-recommends rabbitmq-server postgresql poppler-utils")
	require.Contains(t, text, "exit 101", "services must not start during installation")
	require.Contains(t, text, "create_main_cluster = false")
	require.Contains(t, text, "systemctl disable --now rabbitmq-server.service")
	require.NotContains(t, text, "systemctl disable --now postgresql.service", "it was installed before")
	for _, path := range []string{"usr/sbin/policy-rc.d", "etc/postgresql-common/createcluster.d"} {
		require.NoFileExists(t, filepath.Join(root, path))
		require.NoDirExists(t, filepath.Join(root, path))
	}
}
