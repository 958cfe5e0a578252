// Package manifest renders Kubernetes objects from kustomizations and Helm charts, with the libraries of kubectl and helm.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	stream "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Object is a Kubernetes object.
type Object = unstructured.Unstructured

// Parse reads the objects of a stream of YAML documents. A key that occurs twice is an error.
func Parse(text []byte) ([]Object, error) {
	var objects []Object
	documents := stream.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read a document: %w", err)
		}
		var content map[string]any
		if err := yaml.UnmarshalStrict(document, &content); err != nil {
			return nil, fmt.Errorf("parse %s: %w", document, err)
		}
		if len(content) > 0 {
			objects = append(objects, Object{Object: content})
		}
	}
}

// Title names an object in messages.
func Title(object Object) string { return object.GetKind() + " " + object.GetName() }

// Pod returns the pods that a workload creates, and whether the object is a workload.
func Pod(object Object) (corev1.PodTemplateSpec, bool, error) {
	fields, found, err := unstructured.NestedMap(object.Object, "spec", "template")
	if _, isPods := fields["spec"]; !found || !isPods || err != nil {
		return corev1.PodTemplateSpec{}, false, err
	}
	var pod corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &pod); err != nil {
		return corev1.PodTemplateSpec{}, false, fmt.Errorf("read the pods of %s: %w", Title(object), err)
	}
	return pod, true, nil
}

// Each calls a function with every workload and its pods, and joins the errors, each with the name of its workload.
func Each(objects []Object, check func(metav1.ObjectMeta, corev1.PodSpec) error) error {
	var problems []error
	for _, object := range objects {
		pod, isWorkload, err := Pod(object)
		if err == nil && isWorkload {
			err = check(pod.ObjectMeta, pod.Spec)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", Title(object), err))
		}
	}
	return errors.Join(problems...)
}
