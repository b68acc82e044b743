"""The pod: it holds one version, runs without rights, is probed as its server answers, and fetches from a bucket."""

from typing import Any

import pytest

from tests.deployment.targets.kubernetes.plans import CASES, make_case
from tests.deployment.targets.served_versions import make_served_version
from tfchain.deployment.targets.kubernetes.manifests import make_config
from tfchain.deployment.targets.kubernetes.options import KubernetesOptions
from tfchain.deployment.targets.kubernetes.plan import make_plan
from tfchain.deployment.targets.kubernetes.pod import make_pod


def pod_of(case: str, **changes: Any) -> dict[str, Any]:
    return make_pod(make_case(case, **changes))["spec"]


@pytest.mark.parametrize("case", CASES)
def test_no_container_is_root_or_writes_to_its_image(case: str) -> None:
    pod = pod_of(case)

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["automountServiceAccountToken"] is False
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
        assert container["resources"]["limits"]["memory"]


def test_a_stock_server_is_asked_for_this_very_version() -> None:
    (server,) = pod_of("image")["containers"]

    assert server["image"] == "registry.example.com/docs:3"
    assert server["command"] == ["/usr/bin/tensorflow_model_server"]
    assert "--model_base_path=/models/docs" in server["args"]
    assert "--tensorflow_intra_op_parallelism=2" in server["args"]
    assert "--monitoring_config_file=/etc/serving/monitoring.pbtxt" in server["args"]
    ready = {"httpGet": {"path": "/v1/models/docs/versions/3", "port": "rest"}}
    assert server["readinessProbe"].items() >= ready.items()
    assert server["startupProbe"].items() >= ready.items()
    assert server["livenessProbe"]["tcpSocket"] == {"port": "grpc"}
    # 1.5 s to start, measured: at least 60 s are given, in steps of 5.
    assert server["startupProbe"]["failureThreshold"] * server["startupProbe"]["periodSeconds"] == 60


def test_batching_comes_with_its_parameters_and_new_ones_start_new_pods() -> None:
    plan, plain = make_case(batching=True), make_case()
    (server,) = make_pod(plan)["spec"]["containers"]

    assert {"--enable_batching=true", "--batching_parameters_file=/etc/serving/batching.pbtxt"} <= set(server["args"])
    assert make_config(plan)["data"]["batching.pbtxt"].startswith("# Measured on 2026-11-29: ")
    assert "batching.pbtxt" not in make_config(plain)["data"]
    assert plan.annotations()["tfchain/config"] != plain.annotations()["tfchain/config"]


def test_tfchains_server_is_asked_at_its_own_paths_and_knows_its_keys() -> None:
    pod = pod_of("s3", engine="native")
    (server,) = pod["containers"]

    assert server["command"] == ["tfchain-model-server"]
    assert {"--engine=native", "--api_key_file=/etc/keys/api-keys"} <= set(server["args"])
    assert not any(argument.startswith("--monitoring") for argument in server["args"])
    assert server["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "rest"}
    assert server["livenessProbe"]["httpGet"] == {"path": "/live", "port": "rest"}
    keys = {"secretName": "api-keys", "items": [{"key": "api-keys", "path": "api-keys"}]}
    assert {"name": "keys", "secret": keys} in pod["volumes"]
    assert pod["serviceAccountName"] == "reader"


def test_a_claim_gives_the_pod_one_version_alone() -> None:
    pod = pod_of("pvc")
    (server,) = pod["containers"]

    # Not at /models, where an image may hold a higher version.
    assert "--model_base_path=/mnt/models/docs" in server["args"]
    mount = {"name": "model", "mountPath": "/mnt/models/docs/3", "subPath": "all/docs/3", "readOnly": True}
    assert mount in server["volumeMounts"]
    claim = {"claimName": "models", "readOnly": True}
    assert {"name": "model", "persistentVolumeClaim": claim} in pod["volumes"]
    assert "initContainers" not in pod
    assert server["resources"]["requests"] == {"cpu": "500m", "memory": "384Mi"}
    assert server["resources"]["limits"] == {"memory": "3072Mi"}


def test_a_bucket_is_fetched_before_the_server_starts() -> None:
    pod = pod_of("gs")
    (loader,), (server,) = pod["initContainers"], pod["containers"]

    assert loader["command"] == ["rclone"]
    assert loader["args"][-2:] == [":gcs,env_auth=true:bucket/models/docs/3", "/mnt/models/docs/3"]
    assert {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/etc/bucket/key.json"} in loader["env"]
    assert {"name": "model", "mountPath": "/mnt/models/docs"} in loader["volumeMounts"]
    assert {"name": "model", "mountPath": "/mnt/models/docs", "readOnly": True} in server["volumeMounts"]
    # The server has no key of the bucket.
    assert not any(mount["name"] == "bucket" for mount in server["volumeMounts"])
    # 1.2 x 40 MB are 45.8 MiB, below the least.
    assert {"name": "model", "emptyDir": {"sizeLimit": "64Mi"}} in pod["volumes"]


def test_the_keys_of_s3_come_from_a_secret_by_their_names() -> None:
    (loader,) = pod_of("s3")["initContainers"]

    assert loader["args"][-2] == ":s3,provider=AWS,env_auth=true:bucket/models/docs/3"
    (elsewhere,) = pod_of("s3", region="eu-central-1")["initContainers"]
    assert elsewhere["args"][-2].startswith(":s3,provider=AWS,env_auth=true,region=eu-central-1:bucket/")
    key = {"name": "bucket-keys", "key": "AWS_SECRET_ACCESS_KEY", "optional": False}
    assert {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": key}} in loader["env"]
    assert all("value" not in item for item in loader["env"] if item["name"].startswith("AWS_"))


def test_what_a_versions_files_say_cannot_become_a_template() -> None:
    version = make_served_version(fingerprint="{{ .Values.image }}", task="a: b\n- c")
    template = make_pod(make_plan(version, KubernetesOptions(**CASES["image"])))

    assert set(template["metadata"]["annotations"]) == {"tfchain/model", "tfchain/config"}
