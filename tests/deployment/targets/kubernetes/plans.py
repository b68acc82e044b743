"""Plans of the cases that the tests of Kubernetes go through."""

from typing import Any

from tests.deployment.targets.served_versions import make_served_version
from tfchain.deployment.targets.kubernetes.options import KubernetesOptions
from tfchain.deployment.targets.kubernetes.plan import ClusterPlan, make_plan

# One of each: where the version lies, which server, keys, other namespaces.
CASES: dict[str, dict[str, Any]] = {
    "image": {"image": "registry.example.com/docs:3"},
    "gs": {"model": "gs://bucket/models/docs", "credentials_secret": "bucket-key", "namespace": "search"},
    "s3": {
        "model": "s3://bucket/models/docs",
        "server": "own",
        "image": f"registry.example.com/tfchain@sha256:{'0' * 64}",
        "credentials_secret": "bucket-keys",
        "api_key_secret": "api-keys",
        "service_account": "reader",
        "client_namespaces": ("web", "batch"),
    },
    "pvc": {"model": "pvc://models/all/docs", "cpu": "500m", "memory": "3Gi", "requests_per_second": 40},
}


def make_case(case: str = "image", **changes: Any) -> ClusterPlan:
    return make_plan(make_served_version(), KubernetesOptions(**{**CASES[case], **changes}))
