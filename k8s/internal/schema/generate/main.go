// Generate writes the JSON schemas that package schema uses into a directory: those of the kinds below, from the OpenAPI
// documents of releases of Kubernetes, and those of custom resources, from their definitions. It takes both from Go modules,
// which it downloads.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// releases are the last releases of the supported minor versions of Kubernetes.
var releases = []string{"1.29.6", "1.30.14", "1.31.14", "1.32.13", "1.33.13", "1.34.4"}

// kinds are the kinds of Kubernetes that manifests may use.
var kinds = []groupVersionKind{
	{"", "v1", "ConfigMap"},
	{"", "v1", "Namespace"},
	{"", "v1", "PersistentVolume"},
	{"", "v1", "PersistentVolumeClaim"},
	{"", "v1", "Secret"},
	{"", "v1", "Service"},
	{"", "v1", "ServiceAccount"},
	{"apps", "v1", "Deployment"},
	{"apps", "v1", "StatefulSet"},
	{"autoscaling", "v2", "HorizontalPodAutoscaler"},
	{"batch", "v1", "CronJob"},
	{"batch", "v1", "Job"},
	{"networking.k8s.io", "v1", "Ingress"},
	{"networking.k8s.io", "v1", "NetworkPolicy"},
	{"policy", "v1", "PodDisruptionBudget"},
}

// customResources are the modules with the definitions of custom resources.
var customResources = []struct{ module, directory, files string }{
	{"github.com/cert-manager/cert-manager@v1.21.2", "deploy/crds", "cert-manager.io_{certificates,issuers}.yaml"},
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases", "keda.sh_{scaledobjects,triggerauthentications}.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd", "monitoring.coreos.com_{podmonitors,prometheusrules}.yaml"},
	{"sigs.k8s.io/gateway-api@v1.2.1", "config/crd/standard", "gateway.networking.k8s.io_{httproutes}.yaml"},
}

type groupVersionKind struct{ group, version, kind string }

// file returns the name by which kubeconform finds the schema.
func (g groupVersionKind) file() string {
	group, _, _ := strings.Cut(g.group, ".")
	if group != "" {
		group += "-"
	}
	return strings.ToLower(g.kind + "-" + group + g.version + ".json")
}

func main() {
	ctx, target := context.Background(), os.Args[1]
	for _, release := range releases {
		if err := writeRelease(ctx, target, release); err != nil {
			log.Fatalf("Kubernetes %s: %v", release, err)
		}
	}
	for _, source := range customResources {
		if err := writeCustomResources(ctx, filepath.Join(target, "custom"), source.module, source.directory, source.files); err != nil {
			log.Fatalf("%s: %v", source.module, err)
		}
	}
}

// download returns the directory of a module in the module cache.
func download(ctx context.Context, module string) (string, error) {
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	command.Dir = os.TempDir()
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("download: %w\n%s", err, output)
	}
	var found struct {
		Dir string `json:"Dir"`
	}
	return found.Dir, json.Unmarshal(output, &found)
}

// writeRelease writes a schema for each kind, which refers to the definitions in one more file.
func writeRelease(ctx context.Context, target, release string) error {
	module, err := download(ctx, "k8s.io/kubernetes@v"+release)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(module, "api/openapi-spec/swagger.json"))
	if err != nil {
		return err
	}
	var document struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	minor := release[:strings.LastIndex(release, ".")]
	directory := filepath.Join(target, "v"+minor)
	used := map[string]any{}
	for _, kind := range kinds {
		name, err := find(document.Definitions, kind)
		if err != nil {
			return err
		}
		delete(document.Definitions[name]["properties"].(map[string]any), "status") //nolint:forcetypeassert // every kind has properties
		collect(document.Definitions, name, used)
		reference := map[string]any{"$ref": "_definitions.json#/definitions/" + name}
		if err := write(filepath.Join(directory, kind.file()), reference); err != nil {
			return err
		}
	}
	return write(filepath.Join(directory, "_definitions.json"), map[string]any{"definitions": used})
}

// find returns the name of a kind's definition.
func find(definitions map[string]map[string]any, wanted groupVersionKind) (string, error) {
	for name, definition := range definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		for _, one := range kinds {
			kind, _ := one.(map[string]any)
			if kind["group"] == wanted.group && kind["version"] == wanted.version && kind["kind"] == wanted.kind && len(kinds) == 1 {
				return name, nil
			}
		}
	}
	return "", fmt.Errorf("no definition of %v", wanted)
}

// collect adds a definition, and those that it refers to, to used.
func collect(definitions map[string]map[string]any, name string, used map[string]any) {
	if used[name] != nil {
		return
	}
	switch name { // these are written in several ways
	case "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
		used[name] = map[string]any{"type": []string{"string", "integer"}}
	case "io.k8s.apimachinery.pkg.api.resource.Quantity":
		used[name] = map[string]any{"type": []string{"string", "number"}}
	default:
		used[name] = strict(definitions[name], func(other string) { collect(definitions, other, used) })
	}
}

// strict returns a schema without what does not validate, that permits no properties besides those that it lists. It calls
// refers with the name of each definition that the schema refers to.
func strict(schema map[string]any, refers func(string)) map[string]any {
	result := map[string]any{}
	for key, value := range schema {
		switch key {
		case "$ref":
			name := strings.TrimPrefix(value.(string), "#/definitions/") //nolint:forcetypeassert // references are text
			refers(name)
			return map[string]any{"$ref": "#/definitions/" + name}
		case "properties":
			properties := map[string]any{}
			for name, property := range value.(map[string]any) { //nolint:forcetypeassert // by the definition of schemas
				properties[name] = strict(property.(map[string]any), refers) //nolint:forcetypeassert // likewise
			}
			result[key] = properties
		case "items", "additionalProperties", "not":
			result[key] = value
			if inner, isSchema := value.(map[string]any); isSchema {
				result[key] = strict(inner, refers)
			}
		case "type", "required", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "anyOf", "oneOf", "allOf":
			result[key] = value
		}
	}
	_, hasProperties := result["properties"]
	_, permitsOthers := result["additionalProperties"]
	if hasProperties && !permitsOthers && schema["x-kubernetes-preserve-unknown-fields"] != true {
		result["additionalProperties"] = false
	}
	if schema["x-kubernetes-int-or-string"] == true {
		result["type"] = []string{"string", "integer"}
	}
	return result
}

// writeCustomResources writes the schemas of the custom resources that are defined in some files of a module.
func writeCustomResources(ctx context.Context, target, module, directory, files string) error {
	source, err := download(ctx, module)
	if err != nil {
		return err
	}
	before, rest, _ := strings.Cut(files, "{")
	names, after, _ := strings.Cut(rest, "}")
	for name := range strings.SplitSeq(names, ",") {
		text, err := os.ReadFile(filepath.Join(source, directory, before+name+after))
		if err != nil {
			return err
		}
		var definition customResourceDefinition
		if err := yaml.Unmarshal(text, &definition); err != nil {
			return err
		}
		if err := definition.write(target); err != nil {
			return err
		}
	}
	return nil
}

// customResourceDefinition has the fields of the Kubernetes object that are needed here.
type customResourceDefinition struct {
	Spec struct {
		Group    string                `json:"group"`
		Names    struct{ Kind string } `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Schema struct {
				OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

func (d *customResourceDefinition) write(target string) error {
	for _, version := range d.Spec.Versions {
		schema := strict(version.Schema.OpenAPIV3Schema, func(string) {})
		properties := schema["properties"].(map[string]any) //nolint:forcetypeassert // every custom resource has properties
		delete(properties, "status")
		properties["metadata"] = map[string]any{"type": "object"}
		kind := groupVersionKind{d.Spec.Group, version.Name, d.Spec.Names.Kind}
		if err := write(filepath.Join(target, kind.file()), schema); err != nil {
			return err
		}
	}
	return nil
}

// write writes a schema, with one line for each definition, so that changes can be read.
func write(path string, schema map[string]any) error {
	definitions, hasDefinitions := schema["definitions"].(map[string]any)
	text, err := json.Marshal(schema)
	if hasDefinitions {
		lines := make([]string, 0, len(definitions))
		for name, definition := range definitions {
			line, _ := json.Marshal(definition)
			lines = append(lines, fmt.Sprintf("%q:%s", name, line))
		}
		slices.Sort(lines)
		text = []byte("{\"definitions\":{\n" + strings.Join(lines, ",\n") + "\n}}")
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil { //nolint:gosec // the directory is the argument of go generate
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600) //nolint:gosec // likewise
}
