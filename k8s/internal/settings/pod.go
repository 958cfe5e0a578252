package settings

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/docmill/docmill/k8s/internal/manifest"
)

// CheckPods checks the containers with programs of Docmill: their settings, the time that they have to stop, and their limits.
func (p Programs) CheckPods(ctx context.Context, objects []manifest.Object) error {
	return manifest.Each(objects, func(_ metav1.ObjectMeta, pod corev1.PodSpec) error {
		var problems []error
		for _, spec := range pod.Containers {
			program := programOf(spec.Image)
			if program == "" {
				continue
			}
			container, err := ofPod(objects, pod, spec)
			container.Name, container.Program = spec.Name, program
			if err == nil {
				err = p.Check(ctx, container)
			}
			if err == nil {
				err = errors.Join(p.checkGracePeriod(pod, container), checkMemory(spec, container))
			}
			if err == nil && program == "docmill-converter" {
				err = p.checkSlots(pod, spec, container)
			}
			problems = append(problems, err)
		}
		return errors.Join(problems...)
	})
}

// programOf returns the program of an image of Docmill's services, or nothing for other images.
func programOf(image string) string {
	name, _, _ := strings.Cut(path.Base(image), ":")
	switch name {
	case "gateway", "converter", "status":
		if path.Base(path.Dir(image)) == "docmill" {
			return "docmill-" + name
		}
	}
	return ""
}

// ofPod returns what a container of a pod gets.
func ofPod(objects []manifest.Object, pod corev1.PodSpec, container corev1.Container) (Container, error) {
	found := Container{Environment: map[string]string{}, Files: map[string]string{}}
	if len(container.Command) > 0 {
		return found, errors.New("the command of the image is replaced")
	}
	if len(container.Args) > 0 { // they replace the program and its arguments
		found.Arguments = container.Args[1:]
	}
	for _, source := range container.EnvFrom {
		if source.ConfigMapRef == nil {
			return found, errors.New("variables from something else than a ConfigMap")
		}
		data, exists := dataOf(objects, "ConfigMap", source.ConfigMapRef.Name)
		if !exists {
			return found, fmt.Errorf("there is no ConfigMap %s", source.ConfigMapRef.Name)
		}
		for name, value := range data {
			if _, twice := found.Environment[name]; twice {
				return found, fmt.Errorf("variable %s is in two ConfigMaps", name)
			}
			found.Environment[name] = value
		}
	}
	for _, variable := range container.Env {
		if variable.ValueFrom != nil {
			return found, fmt.Errorf("variable %s is not a plain value", variable.Name)
		}
		found.Environment[variable.Name] = variable.Value
	}
	for _, mount := range container.VolumeMounts {
		if err := addFiles(found.Files, objects, pod, mount); err != nil {
			return found, err
		}
	}
	return found, nil
}

// anySecret returns a valid secret of that name: a password and key, or a secret that signs webhooks.
func anySecret(name string) string {
	key := base64.StdEncoding.EncodeToString([]byte("thirty-two bytes, and no secret!"))
	if name == "webhook-secret" {
		return "whsec_" + key
	}
	return key
}

// addFiles adds the files of a mounted Secret. If the Secret is not among the objects, they contain any secret.
func addFiles(files map[string]string, objects []manifest.Object, pod corev1.PodSpec, mount corev1.VolumeMount) error {
	for _, volume := range pod.Volumes {
		if volume.Name != mount.Name || volume.Secret == nil {
			continue
		}
		data, exists := dataOf(objects, "Secret", volume.Secret.SecretName)
		for _, item := range volume.Secret.Items {
			content := []byte(anySecret(item.Key))
			if exists {
				var err error
				if content, err = base64.StdEncoding.DecodeString(data[item.Key]); err != nil {
					return fmt.Errorf("decode the Secret %s: %w", volume.Secret.SecretName, err)
				}
			}
			files[path.Join(mount.MountPath, item.Path)] = string(content)
		}
	}
	return nil
}

// dataOf returns the data of a ConfigMap or Secret.
func dataOf(objects []manifest.Object, kind, name string) (map[string]string, bool) {
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			data, _, err := unstructured.NestedStringMap(object.Object, "data")
			return data, err == nil
		}
	}
	return nil, false
}
