"""Write a version's files for Kubernetes, with a canary beside the live version, and check them without a cluster.

.venv/bin/python examples/kubernetes_canary.py [VERSION]
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tfchain import NeuralSearchChain
from tfchain.deployment.targets.served_version import read_version
from tfchain.deployment.targets.target import write_target

DOCUMENTS = [
    "heapq.merge puts several sorted inputs together into one sorted output.",
    "shutil.copytree copies a folder.",
]
RELEASES = ("1.25", "1.31", "1.37")
# What kubectl or the Prometheus Operator reads, and the cluster itself does not.
OTHERS = ("Kustomization", "ServiceMonitor")


def main(arguments: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = Path(arguments[0]) if arguments else NeuralSearchChain().add(DOCUMENTS).export(folder / "docs")
        version = read_version(path)
        options = {"model": f"gs://bucket/models/{version.model_name}", "namespace": "search", "canary": 10}
        written = write_target(version, "kubernetes", folder / "out", options=options)

        print("Files:", ", ".join(sorted(str(path.relative_to(written.folder)) for path in list_files(written.folder))))
        print("What to do:", *written.notes, sep="\n- ")
        for overlay in ("base", "overlays/canary"):
            for manifest in read_manifests(written.folder / overlay):
                check_manifest(manifest)
        canary = yaml.safe_load((written.folder / "overlays/canary/deployment.yaml").read_text())
        live = yaml.safe_load((written.folder / "overlays/canary/autoscaler.yaml").read_text())["spec"]["minReplicas"]
        new = canary["spec"]["replicas"]
        print(f"{new} pod of {new + live} runs the new version: {100 * new / (new + live):.0f} % of the connections.")


def list_files(folder: Path) -> Iterator[Path]:
    """Yields the files that a user applies or installs."""
    yield from (path for path in folder.rglob("*.yaml") if "templates" not in path.parts)


def read_manifests(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the cluster's own objects in a folder."""
    for path in sorted(folder.glob("*.yaml")):
        manifest = yaml.safe_load(path.read_text())
        if manifest.get("kind") not in OTHERS and "$patch" not in manifest:
            yield manifest


def check_manifest(manifest: dict[str, Any]) -> None:
    """Compares an object with Kubernetes' own schemas of several releases; needs kubernetes-validate."""
    import kubernetes_validate

    for release in RELEASES:
        kubernetes_validate.validate(manifest, release, strict=True)
    print(f"Kubernetes {', '.join(RELEASES)} take {manifest['kind']} {manifest['metadata']['name']}.")


if __name__ == "__main__":
    main(sys.argv[1:])
