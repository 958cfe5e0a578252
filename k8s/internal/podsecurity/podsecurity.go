// Package podsecurity evaluates pods against the restricted Pod Security Standard, with the library of the API server.
package podsecurity

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/docmill/docmill/k8s/internal/manifest"
)

// Check returns what the newest version of the standard forbids about the pods of the objects, and workloads whose root file
// system is not read-only or that get a token, which the standard permits.
func Check(objects []manifest.Object) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return fmt.Errorf("prepare the checks: %w", err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	return manifest.Each(objects, func(meta metav1.ObjectMeta, pod corev1.PodSpec) error {
		var problems []error
		for _, result := range evaluator.EvaluatePod(restricted, &meta, &pod) {
			if !result.Allowed {
				problems = append(problems, fmt.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail))
			}
		}
		return errors.Join(append(problems, stricter(pod))...)
	})
}

// stricter checks what the standard permits and Docmill does not.
func stricter(pod corev1.PodSpec) error {
	var problems []error
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		problems = append(problems, errors.New("automountServiceAccountToken is not false"))
	}
	for _, container := range append(pod.InitContainers, pod.Containers...) {
		context := container.SecurityContext
		if context == nil || context.ReadOnlyRootFilesystem == nil || !*context.ReadOnlyRootFilesystem {
			problems = append(problems, fmt.Errorf("container %s: readOnlyRootFilesystem is not true", container.Name))
		}
	}
	for _, volume := range pod.Volumes {
		if volume.EmptyDir != nil && volume.EmptyDir.SizeLimit == nil {
			problems = append(problems, fmt.Errorf("volume %s: emptyDir without sizeLimit", volume.Name))
		}
	}
	return errors.Join(problems...)
}
