// Package schema validates Kubernetes objects against the schemas of releases of Kubernetes and of custom resources.
package schema

//go:generate go run ./generate schemas

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/yannh/kubeconform/pkg/resource"
	"github.com/yannh/kubeconform/pkg/validator"
	"sigs.k8s.io/yaml"

	"github.com/docmill/docmill/k8s/internal/manifest"
)

// Releases are the releases of Kubernetes that have schemas.
func Releases() []string { return []string{"1.29", "1.30", "1.31", "1.32", "1.33", "1.34"} }

// Schemas are those of one release of Kubernetes, and of custom resources. They may be used concurrently.
type Schemas struct {
	release   string
	validator validator.Validator
}

// Load reads the schemas of a release from a directory.
func Load(directory, release string) (Schemas, error) {
	const file = "{{.ResourceKind}}{{.KindSuffix}}.json"
	locations := []string{
		filepath.Join(directory, "{{.NormalizedKubernetesVersion}}", file),
		filepath.Join(directory, "custom", file),
	}
	found, err := validator.New(locations, validator.Opts{Strict: true, KubernetesVersion: release})
	if err != nil {
		return Schemas{}, fmt.Errorf("read the schemas of Kubernetes %s: %w", release, err)
	}
	return Schemas{release, found}, nil
}

// Check validates objects. Fields that are unknown, that have a wrong type or that are missing are errors, and so are objects
// without a schema.
func (s Schemas) Check(objects []manifest.Object) error {
	var problems []error
	for _, object := range objects {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			return fmt.Errorf("encode %s: %w", manifest.Title(object), err)
		}
		if result := s.validator.ValidateResource(resource.Resource{Bytes: text}); result.Status != validator.Valid {
			problems = append(problems, fmt.Errorf("%s, Kubernetes %s: %w", manifest.Title(object), s.release, result.Err))
		}
	}
	return errors.Join(problems...)
}
