// Package k8s has no code: its tests check the manifests and the Helm chart of this directory, and the compose file.
package k8s
