"""Targets: the files that run a version somewhere else: an image, a unit of systemd, a cluster's manifests."""
