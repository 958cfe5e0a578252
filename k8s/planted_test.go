package k8s_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/yaml"

	"github.com/docmill/docmill/k8s/internal/manifest"
)

// TestPlantedMistakes checks the checks: each must find a mistake that is planted in a manifest.
func TestPlantedMistakes(t *testing.T) {
	t.Parallel()
	for name, mistake := range map[string]struct{ file, old, new, want string }{
		"unknown field": {
			"base/gateway.yaml", "readinessProbe:", "readynessProbe:", "additional properties 'readynessProbe' not allowed",
		},
		"wrong type": {
			"base/gateway.yaml", "replicas: 2", "replicas: two", "at '/spec/replicas': got string, want integer",
		},
		"missing field": {
			"base/gateway.yaml", "- name: gateway\n", "- terminationMessagePath: /x\n", "missing property 'name'",
		},
		"field of a later release": {
			"base/gateway.yaml", "terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 40\n      resources: {}", "Kubernetes 1.29: problem validating schema",
		},
		"unknown kind": {
			"base/gateway.yaml", "kind: Service\n", "kind: Servicer\n", "could not find schema for Servicer",
		},
		"root": {
			"base/converter.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot != true",
		},
		"no seccomp": {
			"base/converter.yaml", "seccompProfile: {type: RuntimeDefault}", "", "seccompProfile",
		},
		"capabilities": {
			"components/postgres/postgres.yaml", "capabilities: {drop: [ALL]}", "", "unrestricted capabilities",
		},
		"privilege escalation": {
			"base/status.yaml", "allowPrivilegeEscalation: false", "", "allowPrivilegeEscalation != false",
		},
		"writable root": {
			"base/status.yaml", "readOnlyRootFilesystem: true", "", "readOnlyRootFilesystem is not true",
		},
		"host path": {
			"base/converter.yaml", "emptyDir: {sizeLimit: 5Gi}", "hostPath: {path: /work}", "hostPath",
		},
		"unlimited directory": {
			"base/converter.yaml", "emptyDir: {sizeLimit: 5Gi}", "emptyDir: {}", "volume work: emptyDir without sizeLimit",
		},
		"token": {
			"components/minio/minio.yaml", "      automountServiceAccountToken: false\n", "", "automountServiceAccountToken is not false",
		},
		"setting of another service": {
			"base/converter.yaml", "- configMapRef: {name: docmill-store}", "- configMapRef: {name: docmill-store}\n            - configMapRef: {name: docmill-jobs}", "unknown environment variable DOCMILL_JOB_DEADLINE",
		},
		"misspelled setting": {
			"base/kustomization.yaml", "DOCMILL_LOG_LEVEL=", "DOCMILL_LOGLEVEL=", "unknown environment variable DOCMILL_LOGLEVEL",
		},
		"invalid setting": {
			"base/kustomization.yaml", "DOCMILL_JOB_DEADLINE=24h", "DOCMILL_JOB_DEADLINE=1day", "--job-deadline",
		},
		"unknown flag": {
			"base/gateway.yaml", "          envFrom:\n", "          args: [docmill-gateway, --max-uplods=3]\n          envFrom:\n", "unknown flag --max-uplods",
		},
		"invalid secret": {
			"overlays/trial/kustomization.yaml", "- seal-key=b25s", "- seal-key=b25", "seal-key: key 1 is not 32 bytes",
		},
		"secret that is not mounted": {
			"base/status.yaml", "- {key: database-password, path: database-password}", "", "database-password",
		},
		"short grace period": {
			"base/gateway.yaml", "terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 39", "which are 40s",
		},
		"long drain": {
			"base/kustomization.yaml", "- DOCMILL_WORK_DIR=/work", "- DOCMILL_WORK_DIR=/work\n      - DOCMILL_DRAIN_TIMEOUT=2m", "which are 2m5s",
		},
		"memory of the Go runtime": {
			"base/status.yaml", "200MiB", "256MiB", "GOMEMLIMIT is 256MiB",
		},
		"too little memory for the slots": {
			"base/converter.yaml", "limits: {cpu: \"2\", memory: 5Gi}", "limits: {cpu: \"3\", memory: 5Gi}", "the limit of the memory has no room for 3 slots",
		},
		"too little disk for the slots": {
			"base/converter.yaml", "emptyDir: {sizeLimit: 5Gi}", "emptyDir: {sizeLimit: 3Gi}", "the volume work has no room for 2 slots",
		},
		"variables for Services": {
			"base/status.yaml", "enableServiceLinks: false", "", "enableServiceLinks is not false",
		},
		"variable before its definition": {
			"components/rabbitmq/rabbitmq.yaml", "- name: POD_NAME\n", "- name: POD\n", "RABBITMQ_NODENAME refers to POD_NAME",
		},
		"missing key of the Secret": {
			"overlays/trial/kustomization.yaml", "- seal-key=", "- seal=", "there is no Secret",
		},
		"missing ConfigMap": {
			"base/status.yaml", "configMapRef: {name: docmill-jobs}", "configMapRef: {name: docmill-job}", "there is no ConfigMap docmill-job",
		},
		"service that selects no pods": {
			"base/gateway.yaml", "  selector: {app.kubernetes.io/name: docmill, app.kubernetes.io/component: gateway}\n  ports", "  selector: {app.kubernetes.io/name: gateway}\n  ports", "Service docmill-gateway: selects no pods",
		},
		"service with a port that pods lack": {
			"base/status.yaml", "targetPort: http,", "targetPort: web,", "the selected pods have no port web",
		},
		"setting of the status service": {
			"base/kustomization.yaml", "- DOCMILL_STATUS_URL", "- DOCMILL_RETENTION=1h\n      - DOCMILL_STATUS_URL", "unknown environment variable DOCMILL_RETENTION",
		},
		"retention of days": {
			"base/kustomization.yaml", "DOCMILL_RETENTION=24h", "DOCMILL_RETENTION=1d", "--retention",
		},
		"no retention": {
			"base/kustomization.yaml", "DOCMILL_RETENTION=24h", "DOCMILL_RETENTION=0s", "setting retention: 0s is less than 1m0s",
		},
		"policy that selects no pods": {
			"base/network-policies.yaml", "matchLabels: {app.kubernetes.io/part-of: docmill}", "matchLabels: {app.kubernetes.io/part-of: dockmill}", "NetworkPolicy docmill-default-deny: selects no pods",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := tree(t)
			content, err := files.ReadFile("/" + mistake.file)
			require.NoError(t, err)
			require.Contains(t, string(content), mistake.old)
			changed := strings.Replace(string(content), mistake.old, mistake.new, 1)
			require.NoError(t, files.WriteFile("/"+mistake.file, []byte(changed)))
			objects, err := manifest.Kustomize(files, "/overlays/trial")
			require.NoError(t, err)
			require.ErrorContains(t, check(t, objects), mistake.want)
		})
	}
}

// TestPlantedMistakesInTheChart checks that mistakes in the chart's templates and values are found.
func TestPlantedMistakesInTheChart(t *testing.T) {
	t.Parallel()
	for name, mistake := range map[string]struct{ file, old, new, want string }{
		"misspelled setting": {"values.yaml", "DOCMILL_LOG_LEVEL", "DOCMILL_LOGLEVEL", "unknown environment variable DOCMILL_LOGLEVEL"},
		"root":               {"templates/_helpers.tpl", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot != true"},
		"unknown field":      {"templates/_helpers.tpl", "readinessProbe:", "readynessProbe:", "'readynessProbe' not allowed"},
		"key twice":          {"templates/status.yaml", "kind: Service", "kind: Service\nkind: Service", `key "kind" already set`},
		"webhooks without a secret": {
			"templates/status.yaml", `set $secrets "DOCMILL_WEBHOOK_SECRET_FILE" "webhook-secret"`, `set $secrets "DOCMILL_WEBHOOK_SECRET_FILE" "seal-key"`,
			"secret 1 is not whsec_",
		},
		"word that YAML changes": {
			"values.yaml", "    DOCMILL_ADDRESS: \":8080\"", "    DOCMILL_ADDRESS: \":8080\"\n    DOCMILL_CACHE: on", `--cache must be one of "off","on"`,
		},
		"setting of the status service": {
			"values.yaml", "    DOCMILL_WORK_DIR: /work", "    DOCMILL_WORK_DIR: /work\n    DOCMILL_RETENTION: 1h", "unknown environment variable DOCMILL_RETENTION",
		},
		"missing ConfigMap": {"templates/converter.yaml", `"broker" "store"`, `"broker" "stores"`, "there is no ConfigMap docmill-stores"},
		"unknown value":     {"values.yaml", "networkPolicy:", "networkPolicies:", "networkPolicies"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, err := loader.Load("chart/docmill")
			require.NoError(t, err)
			files := source.Templates
			if mistake.file == "values.yaml" {
				files = source.Raw
			}
			found := slices.IndexFunc(files, func(file *chart.File) bool { return file.Name == mistake.file })
			require.GreaterOrEqual(t, found, 0)
			require.Contains(t, string(files[found].Data), mistake.old)
			files[found].Data = []byte(strings.Replace(string(files[found].Data), mistake.old, mistake.new, 1))
			if mistake.file == "values.yaml" {
				source.Values = map[string]any{}
				require.NoError(t, yaml.Unmarshal(files[found].Data, &source.Values))
			}
			objects, _, err := manifest.Chart(source, map[string]any{"webhooks": map[string]any{"enabled": true}}, "1.34")
			if err == nil {
				err = check(t, objects, externalSecret)
			}
			require.ErrorContains(t, err, mistake.want)
		})
	}
}

// TestPlantedMistakesOfWebhooks checks that mistakes in the component webhooks are found.
func TestPlantedMistakesOfWebhooks(t *testing.T) {
	t.Parallel()
	const file = "/components/webhooks/kustomization.yaml"
	for name, mistake := range map[string]struct{ old, new, want string }{
		"secret that is not mounted": {"{key: webhook-secret, path: webhook-secret}", "{key: webhook-secret, path: webhook}", "read the secret"},
		"another secret":             {"value: /etc/docmill/secrets/webhook-secret", "value: /etc/docmill/secrets/store-secret-key", "secret 1 is not whsec_"},
		"setting of the status service": {
			"- DOCMILL_WEBHOOKS=true", "- DOCMILL_WEBHOOKS=true\n      - DOCMILL_WEBHOOK_ALLOW=10.0.0.0/8", "unknown environment variable DOCMILL_WEBHOOK_ALLOW",
		},
		"invalid setting": {"DOCMILL_WEBHOOKS=true", "DOCMILL_WEBHOOKS=on-some-days", "--webhooks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := tree(t, "webhooks")
			content, err := files.ReadFile(file)
			require.NoError(t, err)
			require.Contains(t, string(content), mistake.old)
			require.NoError(t, files.WriteFile(file, []byte(strings.Replace(string(content), mistake.old, mistake.new, 1))))
			objects, err := manifest.Kustomize(files, "/test")
			require.NoError(t, err)
			require.ErrorContains(t, check(t, objects, externalSecret), mistake.want)
		})
	}
}

// TestTrialWithWebhooks adds the component to the trial, whose Secret then needs one more key.
func TestTrialWithWebhooks(t *testing.T) {
	t.Parallel()
	const secret = "\nsecretGenerator: [{name: docmill-secrets, namespace: docmill, behavior: merge, literals: [%s]}]\n"
	for name, c := range map[string]struct{ generator, want string }{
		"no secret":      {"", "there is no Secret docmill-secrets"},
		"invalid secret": {fmt.Sprintf(secret, "webhook-secret=whsec_short"), "secret 1 is not whsec_"},
		"new secret": {fmt.Sprintf(secret, `"webhook-secret=whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=`+
			`\nwhsec_HxECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := tree(t)
			kustomization := "namespace: docmill\nresources: [../overlays/trial]\ncomponents: [../components/webhooks]\n" + c.generator
			require.NoError(t, files.WriteFile("/test/kustomization.yaml", []byte(kustomization)))
			objects, err := manifest.Kustomize(files, "/test")
			require.NoError(t, err)
			err = check(t, objects)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}
