package k8s_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/k8s/internal/manifest"
	"github.com/docmill/docmill/k8s/internal/podsecurity"
	"github.com/docmill/docmill/k8s/internal/reference"
	"github.com/docmill/docmill/k8s/internal/schema"
	"github.com/docmill/docmill/k8s/internal/settings"
)

// externalSecret is the Secret that users make themselves, except in the trial.
const externalSecret = "docmill-secrets"

// checks are what the checks need.
type checks struct {
	programs settings.Programs
	schemas  []schema.Schemas
}

// load builds the programs and reads the schemas, once for all tests.
var load = sync.OnceValues(func() (checks, error) {
	binaries, err := os.MkdirTemp("", "docmill-programs-")
	if err != nil {
		return checks{}, err
	}
	var all checks
	err = system.Build(context.Background(), "..", binaries, system.Services()...)
	if err == nil {
		all.programs, err = settings.Load(context.Background(), binaries)
	}
	for _, release := range schema.Releases() {
		schemas, failed := schema.Load("internal/schema/schemas", release)
		all.schemas, err = append(all.schemas, schemas), errors.Join(err, failed)
	}
	return all, err
})

// TestMain removes the temporary files of the tests, with the programs.
func TestMain(m *testing.M) {
	temporary, err := os.MkdirTemp("", "docmill-k8s-")
	if err == nil {
		err = os.Setenv("TMPDIR", temporary)
	}
	if err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	os.RemoveAll(temporary)
	os.Exit(code)
}

// check runs all checks on objects.
func check(t *testing.T, objects []manifest.Object, external ...string) error {
	t.Helper()
	all, err := load()
	require.NoError(t, err)
	problems := []error{
		podsecurity.Check(objects),
		reference.Check(objects, external...),
		all.programs.CheckPods(t.Context(), objects),
	}
	for _, release := range all.schemas {
		problems = append(problems, release.Check(objects))
	}
	return errors.Join(problems...)
}

// tree returns a copy of this directory in memory, with a kustomization of the base and some components in /test.
func tree(t *testing.T, components ...string) filesys.FileSystem {
	t.Helper()
	files, err := manifest.Tree(".")
	require.NoError(t, err)
	text := "resources: [../base]\ncomponents:\n"
	for _, name := range components {
		text += fmt.Sprintf("- ../components/%s\n", name)
	}
	require.NoError(t, files.WriteFile("/test/kustomization.yaml", []byte(text)))
	return files
}

func TestOverlays(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("overlays")
	require.NoError(t, err)
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			t.Parallel()
			objects, err := manifest.Kustomize(filesys.MakeFsOnDisk(), filepath.Join("overlays", entry.Name()))
			require.NoError(t, err)
			var external []string
			if entry.Name() != "trial" {
				external = append(external, externalSecret)
			}
			require.NoError(t, check(t, objects, external...))
		})
	}
}

// needs are the components that a component changes or refers to.
var needs = map[string][]string{"tls": {"ingress"}, "keda": {"rabbitmq"}, "keda-age": {"rabbitmq", "keda"}}

func TestComponents(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("components")
	require.NoError(t, err)
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			t.Parallel()
			components := append(slices.Clone(needs[entry.Name()]), entry.Name())
			objects, err := manifest.Kustomize(tree(t, components...), "/test")
			require.NoError(t, err)
			require.NoError(t, check(t, objects, externalSecret))
		})
	}
}

func TestChart(t *testing.T) {
	t.Parallel()
	source, err := loader.Load("chart/docmill")
	require.NoError(t, err)
	kept := map[string]any{"settings": map[string]any{
		"gateway": map[string]any{"DOCMILL_ALLOW_LISTING": true, "DOCMILL_CACHE": "on"},
		"status":  map[string]any{"DOCMILL_RETENTION": "72h", "DOCMILL_SOURCE_RETENTION": "0s", "DOCMILL_ORPHAN_SWEEP": "6h"},
	}}
	for name, values := range map[string]map[string]any{"default": nil, "everything": everything, "retention and lists": kept} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, release := range schema.Releases() {
				objects, notes, err := manifest.Chart(source, values, release)
				require.NoError(t, err)
				require.NoError(t, check(t, objects, externalSecret))
				require.Contains(t, notes, "Secret docmill-secrets")
			}
		})
	}
}

func TestComposeFile(t *testing.T) {
	t.Parallel()
	all, err := load()
	require.NoError(t, err)
	file, err := filepath.Abs("../docker-compose.yml")
	require.NoError(t, err)
	withWebhooks := filepath.Join(filepath.Dir(file), "docker-compose.webhooks.yml")
	secret := "WEBHOOK_SECRET_FILE=/etc/docmill/webhook-secret"
	for name, c := range map[string]struct{ environment, files []string }{
		"default":                  {nil, []string{file}},
		"webhooks":                 {[]string{secret}, []string{file, withWebhooks}},
		"webhooks to own networks": {[]string{secret, "WEBHOOK_ALLOW=10.1.0.0/16,*.hooks.internal"}, []string{file, withWebhooks}},
		"retention":                {[]string{"RETENTION=72h", "SOURCE_RETENTION=0s", "ORPHAN_SWEEP=6h", "ALLOW_LISTING=true", "CACHE=on"}, []string{file}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			containers, err := settings.OfCompose(t.Context(), c.environment, c.files...)
			require.NoError(t, err)
			require.Len(t, containers, 6, "three services and their health checks")
			for _, container := range containers {
				require.NoError(t, all.programs.Check(t.Context(), container))
			}
			containers[0].Environment["DOCMILL_UNKNOWN"] = "x"
			require.ErrorContains(t, all.programs.Check(t.Context(), containers[0]), "unknown environment variable DOCMILL_UNKNOWN")
		})
	}
	_, err = settings.OfCompose(t.Context(), nil, file, withWebhooks)
	require.ErrorContains(t, err, "WEBHOOK_SECRET_FILE")
}

// TestPlantedMistakesInTheComposeFile checks that invalid values of its variables, and missing secrets, are found.
func TestPlantedMistakesInTheComposeFile(t *testing.T) {
	t.Parallel()
	all, err := load()
	require.NoError(t, err)
	containers, err := settings.OfCompose(t.Context(), []string{"RETENTION=1day", "WEBHOOK_SECRET_FILE=/x", "WEBHOOK_ALLOW=https://hooks"},
		"../docker-compose.yml", "../docker-compose.webhooks.yml")
	require.NoError(t, err)
	status := slices.IndexFunc(containers, func(c settings.Container) bool { return c.Program == "docmill-status" })
	require.ErrorContains(t, all.programs.Check(t.Context(), containers[status]), "--retention")
	containers[status].Environment["DOCMILL_RETENTION"] = "30s"
	require.ErrorContains(t, all.programs.Check(t.Context(), containers[status]), "setting retention: 30s is less than 1m0s")
	containers[status].Environment["DOCMILL_RETENTION"] = "1h"
	require.ErrorContains(t, all.programs.Check(t.Context(), containers[status]), "setting webhook-allow")
	containers[status].Environment["DOCMILL_WEBHOOK_ALLOW"] = ""
	require.NoError(t, all.programs.Check(t.Context(), containers[status]))
	clear(containers[status].Files)
	require.ErrorContains(t, all.programs.Check(t.Context(), containers[status]), "read the secret")
}
