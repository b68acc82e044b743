"""Kubernetes: a version as a Kustomize base with overlays, and as a Helm chart."""
