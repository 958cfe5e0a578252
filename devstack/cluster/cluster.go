// Package cluster tests Docmill on a Kubernetes cluster. It drives the cluster with kubectl, as an operator does.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// Namespace is the namespace of the trial overlay, and Name the prefix of its objects.
const (
	Namespace = "docmill"
	Name      = "docmill-"
)

// The components of Docmill. Each has a Deployment of the name Name + component.
const (
	Gateway   = "gateway"
	Converter = "converter"
	Status    = "status"
)

// Kubectl runs kubectl in the namespace and returns its standard output. The cluster is that of the current context.
func Kubectl(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "kubectl", append([]string{"--namespace", Namespace}, args...)...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Pods returns the names of the running pods of a component, oldest first.
func Pods(ctx context.Context, component string) ([]string, error) {
	out, err := Kubectl(ctx, "get", "pods", "--selector", selector(component), "--field-selector", "status.phase=Running",
		"--sort-by", ".metadata.creationTimestamp", "--output", "jsonpath={.items[*].metadata.name}")
	return strings.Fields(out), err
}

func selector(component string) string { return "app.kubernetes.io/component=" + component }

// Scale sets the number of replicas of a component, and waits until the cluster has as many ready pods, and no others.
func Scale(ctx context.Context, component string, replicas int) error {
	if _, err := Kubectl(ctx, "scale", "deployment/"+Name+component, fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		return err
	}
	if err := Settle(ctx, component); err != nil {
		return err
	}
	return AwaitPods(ctx, component, replicas)
}

// AwaitPods waits until a component has that number of pods, in any state.
func AwaitPods(ctx context.Context, component string, n int) error {
	for {
		out, err := Kubectl(ctx, "get", "pods", "--selector", selector(component), "--output", "name")
		if err != nil {
			return err
		}
		if len(strings.Fields(out)) == n {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for %d pods of %s: %w; there are %s", n, component, err, out)
		}
	}
}

// Settle waits until the replicas of all these components are those that their Deployments describe, and ready.
func Settle(ctx context.Context, components ...string) error {
	for _, component := range components {
		if _, err := Kubectl(ctx, "rollout", "status", "deployment/"+Name+component, "--timeout=5m"); err != nil {
			return err
		}
	}
	return nil
}

// Restart replaces the pods of a component, one after another, and waits for the new ones.
func Restart(ctx context.Context, component string) error {
	if _, err := Kubectl(ctx, "rollout", "restart", "deployment/"+Name+component); err != nil {
		return err
	}
	return Settle(ctx, component)
}

// Kill ends the oldest pod of a component without notice. It does not wait for the next one.
func Kill(ctx context.Context, component string) error {
	pods, err := Pods(ctx, component)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return fmt.Errorf("no running pod of %s", component)
	}
	_, err = Kubectl(ctx, "delete", "pod", pods[0], "--grace-period=0", "--force", "--wait=false")
	return err
}

// pause waits for a moment, or until ctx ends.
func pause(ctx context.Context) error {
	select {
	case <-time.After(500 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ErrUnreachable means that this machine has no route to the addresses of Services.
var ErrUnreachable = errors.New(
	"the address of the Service cannot be reached from this machine: set BASE_URL to the URL of an ingress or a load balancer")

// URL returns the URL of the gateway's Service. A port-forward would not do: it leads to a single pod.
func URL(ctx context.Context) (string, error) {
	address, err := Kubectl(ctx, "get", "service", Name+Gateway, "--output", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return "", err
	}
	url := "http://" + net.JoinHostPort(address, "80")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/formats", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return url, response.Body.Close()
}
