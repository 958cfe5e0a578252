// Package reference checks that what an object names exists: ConfigMaps, Secrets, ServiceAccounts, volumes, ports, pods that
// are selected, and variables. The API server accepts such mistakes.
package reference

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/docmill/docmill/k8s/internal/manifest"
)

// Check checks the references between objects. The external Secrets are made by other means.
func Check(objects []manifest.Object, external ...string) error {
	problems := []error{
		manifest.Each(objects, func(_ metav1.ObjectMeta, pod corev1.PodSpec) error {
			return errors.Join(checkPod(objects, pod, external), checkVariables(pod))
		}),
	}
	for _, object := range objects {
		if err := checkSelection(objects, object); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", manifest.Title(object), err))
		}
	}
	return errors.Join(problems...)
}

// named is a reference to an object, and to a key of its data if that is not empty.
type named struct{ kind, name, key string }

// checkPod checks that what a pod names exists.
func checkPod(objects []manifest.Object, pod corev1.PodSpec, external []string) error {
	references := append(inVolumes(pod), named{"ServiceAccount", pod.ServiceAccountName, ""})
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		references = append(references, inVariables(container)...)
	}
	var problems []error
	for _, one := range references {
		if one.kind == "Secret" && slices.Contains(external, one.name) {
			continue
		}
		if !exists(objects, one) {
			problems = append(problems, fmt.Errorf("there is no %s %s %s", one.kind, one.name, one.key))
		}
	}
	return errors.Join(problems...)
}

func exists(objects []manifest.Object, wanted named) bool {
	return slices.ContainsFunc(objects, func(object manifest.Object) bool {
		if object.GetKind() != wanted.kind || object.GetName() != wanted.name {
			return false
		}
		_, hasKey, err := unstructured.NestedString(object.Object, "data", wanted.key)
		return wanted.key == "" || hasKey && err == nil
	})
}

func inVolumes(pod corev1.PodSpec) []named {
	var references []named
	for _, volume := range pod.Volumes {
		if volume.Secret != nil {
			for _, item := range volume.Secret.Items {
				references = append(references, named{"Secret", volume.Secret.SecretName, item.Key})
			}
		}
		if volume.ConfigMap != nil {
			references = append(references, named{"ConfigMap", volume.ConfigMap.Name, ""})
		}
	}
	return references
}

func inVariables(container corev1.Container) []named {
	var references []named
	for _, source := range container.EnvFrom {
		if source.ConfigMapRef != nil {
			references = append(references, named{"ConfigMap", source.ConfigMapRef.Name, ""})
		}
		if source.SecretRef != nil {
			references = append(references, named{"Secret", source.SecretRef.Name, ""})
		}
	}
	for _, variable := range container.Env {
		if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
			references = append(references, named{"Secret", from.SecretKeyRef.Name, from.SecretKeyRef.Key})
		}
	}
	return references
}

// variable is a reference to a variable in the value of another one.
var variable = regexp.MustCompile(`\$\(([A-Za-z0-9_]+)\)`)

// checkVariables checks that variables are defined before those that refer to them: Kubernetes expands no others. Pods get no
// variables for Services, because Docmill's services would take those for settings.
func checkVariables(pod corev1.PodSpec) error {
	var problems []error
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		problems = append(problems, errors.New("enableServiceLinks is not false"))
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		defined := map[string]bool{}
		for _, entry := range container.Env {
			for _, match := range variable.FindAllStringSubmatch(entry.Value, -1) {
				if !defined[match[1]] {
					problems = append(problems, fmt.Errorf("container %s: %s refers to %s, which is not defined before it", container.Name, entry.Name, match[1]))
				}
			}
			defined[entry.Name] = true
		}
	}
	return errors.Join(problems...)
}

// checkSelection checks that a Service, PodDisruptionBudget, NetworkPolicy or PodMonitor selects pods, and that these have the
// ports that it names.
func checkSelection(objects []manifest.Object, object manifest.Object) error {
	selector, ports, err := selection(object)
	if selector == nil || err != nil {
		return err
	}
	var problems []error
	selected := 0
	err = manifest.Each(objects, func(meta metav1.ObjectMeta, pod corev1.PodSpec) error {
		if !selector.Matches(labels.Set(meta.Labels)) {
			return nil
		}
		selected++
		for _, port := range ports {
			if !hasPort(pod, port) {
				problems = append(problems, fmt.Errorf("the selected pods have no port %s", port))
			}
		}
		return nil
	})
	if selected == 0 {
		problems = append(problems, errors.New("selects no pods"))
	}
	return errors.Join(append(problems, err)...)
}

// selection returns the pods that an object selects and the names of the ports that it uses; no selector for other objects.
func selection(object manifest.Object) (labels.Selector, []string, error) {
	switch object.GetKind() {
	case "Service":
		var service corev1.Service
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &service); err != nil {
			return nil, nil, fmt.Errorf("read it: %w", err)
		}
		var ports []string
		for _, port := range service.Spec.Ports {
			if port.TargetPort.StrVal != "" {
				ports = append(ports, port.TargetPort.StrVal)
			}
		}
		return labels.SelectorFromSet(service.Spec.Selector), ports, nil
	case "PodDisruptionBudget", "PodMonitor":
		selector, err := selectorAt(object, "spec", "selector")
		return selector, nil, err
	case "NetworkPolicy":
		selector, err := selectorAt(object, "spec", "podSelector")
		return selector, nil, err
	default:
		return nil, nil, nil
	}
}

func selectorAt(object manifest.Object, path ...string) (labels.Selector, error) {
	fields, _, err := unstructured.NestedMap(object.Object, path...)
	if err != nil {
		return nil, fmt.Errorf("read the selector: %w", err)
	}
	var selector metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &selector); err != nil {
		return nil, fmt.Errorf("read the selector: %w", err)
	}
	return metav1.LabelSelectorAsSelector(&selector)
}

func hasPort(pod corev1.PodSpec, name string) bool {
	return slices.ContainsFunc(pod.Containers, func(container corev1.Container) bool {
		return slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool { return port.Name == name })
	})
}
