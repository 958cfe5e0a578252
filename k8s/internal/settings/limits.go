package settings

import (
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	corev1 "k8s.io/api/core/v1"
)

// returnTime is what a service needs after the drain-timeout to return abandoned commands to the queue: see
// docs/operations.md.
const returnTime = 5 * time.Second

// checkGracePeriod checks that a service is not killed while it stops.
func (p Programs) checkGracePeriod(pod corev1.PodSpec, container Container) error {
	needed := returnTime
	for _, flag := range []string{"drain-delay", "drain-timeout"} {
		text, err := p.value(container, flag)
		if err != nil {
			return err
		}
		part, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("read the setting %s: %w", flag, err)
		}
		needed += part
	}
	if grace := pod.TerminationGracePeriodSeconds; grace == nil || time.Duration(*grace)*time.Second < needed {
		return fmt.Errorf("terminationGracePeriodSeconds is less than drain-delay, drain-timeout and 5 s, which are %s", needed)
	}
	return nil
}

// checkMemory checks that a limit of the Go runtime is less than that of the container.
func checkMemory(spec corev1.Container, container Container) error {
	text, set := container.Environment["GOMEMLIMIT"]
	if !set {
		return nil
	}
	limit, err := humanize.ParseBytes(text)
	if err != nil {
		return fmt.Errorf("read GOMEMLIMIT: %w", err)
	}
	if memory := spec.Resources.Limits.Memory().Value(); int64(limit) >= memory {
		return fmt.Errorf("GOMEMLIMIT is %s, which is not less than the limit of the memory", text)
	}
	return nil
}

// reserve is the memory of a converter that is not for conversions: see services/converter/internal/capacity.
const reserve = 512 << 20

// checkSlots checks that a converter has memory and space for as many conversions as processors.
func (p Programs) checkSlots(pod corev1.PodSpec, spec corev1.Container, container Container) error {
	memory, err := p.size(container, "conversion-memory")
	if err != nil {
		return err
	}
	disk, err := p.size(container, "conversion-disk")
	if err != nil {
		return err
	}
	var problems []error
	slots := spec.Resources.Limits.Cpu().Value()
	if slots < 1 {
		problems = append(problems, errors.New("a converter without a limit of its processors has a slot for each of the node"))
	}
	if spec.Resources.Limits.Memory().Value() < reserve+slots*memory {
		problems = append(problems, fmt.Errorf("the limit of the memory has no room for %d slots", slots))
	}
	for _, volume := range pod.Volumes {
		if volume.Name == "work" && (volume.EmptyDir == nil || volume.EmptyDir.SizeLimit == nil || volume.EmptyDir.SizeLimit.Value() < slots*disk) {
			problems = append(problems, fmt.Errorf("the volume work has no room for %d slots", slots))
		}
	}
	return errors.Join(problems...)
}

// size returns a setting that is a number of bytes.
func (p Programs) size(container Container, flag string) (int64, error) {
	text, err := p.value(container, flag)
	if err != nil {
		return 0, err
	}
	bytes, err := humanize.ParseBytes(text)
	if err != nil {
		return 0, fmt.Errorf("read the setting %s: %w", flag, err)
	}
	return int64(bytes), nil
}
