"""JobSet and TFJob manifests: the fields of the published APIs, and what makes workers find each other."""

import json
from typing import Any

import pytest
import yaml

from tests.jobs.api_checker import check_manifest
from tfchain.core.errors import InputError
from tfchain.jobs.cluster import make_tf_config
from tfchain.jobs.kubernetes import KubernetesJob, make_jobset, make_tfjob, to_yaml


def make_job(**changes: Any) -> KubernetesJob:
    values: dict[str, Any] = {"name": "scifact", "config_path": "/data/train.yaml", "image": "registry/tfchain:1"}
    return KubernetesJob(**{**values, **changes})


FULL = {
    "machines": 2,
    "accelerators": 4,
    "namespace": "training",
    "volume": "training-data",
    "mount_path": "/data",
    "cpu": "8",
    "memory": "32Gi",
    "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-l4"},
    "max_restarts": 5,
}


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    if manifest["kind"] == "TFJob":
        return manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    return manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("changes", [{}, FULL, {"accelerators": 8, "accelerator": "google.com/tpu"}])
def test_the_manifests_have_the_fields_of_the_published_apis(changes: dict[str, Any]) -> None:
    check_manifest(make_jobset(make_job(**changes)), "JobSet")
    check_manifest(make_tfjob(make_job(**changes)), "TFJob")


def test_a_jobset_starts_a_pod_a_machine_and_all_again_when_one_fails() -> None:
    manifest = make_jobset(make_job(**FULL))

    assert (manifest["apiVersion"], manifest["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert manifest["metadata"] == {"name": "scifact", "namespace": "training"}
    assert manifest["spec"]["network"] == {"enableDNSHostnames": True, "subdomain": "scifact"}
    assert manifest["spec"]["failurePolicy"] == {"maxRestarts": 5}
    (replicated,) = manifest["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    assert (job["parallelism"], job["completions"], job["completionMode"], job["backoffLimit"]) == (2, 2, "Indexed", 0)
    assert pod_of(manifest)["restartPolicy"] == "Never"


def test_each_pod_of_a_jobset_learns_the_same_hosts_and_its_own_index() -> None:
    (container,) = pod_of(make_jobset(make_job(machines=2)))["containers"]

    # <jobset>-<replicated job>-<job's index>-<pod's index>.<subdomain>
    hosts = ["scifact-worker-0-0.scifact:2222", "scifact-worker-0-1.scifact:2222"]
    assert container["command"] == ["tfchain"]
    assert container["args"] == [
        *("train", "/data/train.yaml"),
        *("--worker-hosts", ",".join(hosts), "--worker-index", "$(JOB_COMPLETION_INDEX)"),
    ]
    (variable,) = container["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"
    annotation = variable["valueFrom"]["fieldRef"]["fieldPath"]
    assert annotation == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert json.loads(make_tf_config(container["args"][3].split(","), 1))["cluster"] == {"worker": hosts}


def test_one_machine_needs_no_hosts() -> None:
    (container,) = pod_of(make_jobset(make_job()))["containers"]

    assert container["args"] == ["train", "/data/train.yaml"]
    assert "env" not in container
    assert "resources" not in container


def test_a_pod_asks_for_accelerators_cores_memory_and_its_volume() -> None:
    for manifest in (make_jobset(make_job(**FULL)), make_tfjob(make_job(**FULL))):
        pod = pod_of(manifest)
        (container,) = pod["containers"]
        assert container["resources"] == {
            "requests": {"cpu": "8", "memory": "32Gi"},
            "limits": {"memory": "32Gi", "nvidia.com/gpu": "4"},
        }
        assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
        assert {"name": "data", "persistentVolumeClaim": {"claimName": "training-data"}} in pod["volumes"]
        assert {"name": "shared-memory", "emptyDir": {"medium": "Memory"}} in pod["volumes"]
        assert pod["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
        assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_a_tpu_is_another_resource() -> None:
    job = make_job(accelerators=8, accelerator="google.com/tpu")

    assert pod_of(make_jobset(job))["containers"][0]["resources"] == {"limits": {"google.com/tpu": "8"}}


def test_a_tfjob_leaves_tf_config_to_its_operator() -> None:
    manifest = make_tfjob(make_job(**FULL))

    assert (manifest["apiVersion"], manifest["kind"]) == ("kubeflow.org/v1", "TFJob")
    worker = manifest["spec"]["tfReplicaSpecs"]["Worker"]
    assert (worker["replicas"], worker["restartPolicy"]) == (2, "OnFailure")
    # Five new starts of two pods are ten; the operator gives up at the eleventh.
    assert manifest["spec"]["runPolicy"] == {"cleanPodPolicy": "Running", "backoffLimit": 11}
    (container,) = pod_of(manifest)["containers"]
    assert container["name"] == "tensorflow"  # the operator sets the variable in this one alone
    assert container["args"] == ["train", "/data/train.yaml"]
    assert make_tfjob(make_job(max_restarts=0))["spec"]["tfReplicaSpecs"]["Worker"]["restartPolicy"] == "Never"


def test_the_yaml_reads_back_as_the_manifest() -> None:
    manifest = make_jobset(make_job(**FULL, program="/opt/yes: no/tfchain"))

    assert yaml.safe_load(to_yaml(manifest)) == manifest
    assert to_yaml(manifest).startswith(
        "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata:\n  name: scifact\n"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Sci_Fact"}, "`name` must look like search-training. Received: name='Sci_Fact'"),
        # 47 letters and "-worker-0-0-abcde", 17 letters, are 64.
        ({"name": "a" * 47}, "`name` must be at most 46 letters long"),
        ({"config_path": "train.yaml"}, "`config_path` must be an absolute path"),
        ({"volume": "My Claim"}, "`volume` must look like training-data"),
        ({"mount_path": "data"}, "`mount_path` must be an absolute path"),
        ({"memory": "32 GB"}, "`memory` must look like 32Gi"),
        ({"cpu": "eight"}, "`cpu` must look like 8"),
        ({"accelerators": 1, "accelerator": "gpu"}, "`accelerator` must look like nvidia.com/gpu"),
        ({"accelerator": "nvidia.com/gpu"}, "`accelerators` must be at least 1"),
        ({"accelerators": 4, "accelerator": "google.com/tpu", "machines": 2}, "`machines` must be 1 for TPUs"),
        ({"machines": 0}, "`machines` must be a whole number of at least 1"),
        ({"image": ""}, "`image` must be a text on one line"),
        ({"max_restarts": -1}, "`max_restarts` must be a whole number of at least 0"),
    ],
)
def test_a_value_that_the_cluster_would_refuse_is_an_error(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_job(**changes)

    assert words in str(caught.value)


def test_the_longest_name_that_fits_is_taken() -> None:
    make_job(name="a" * 46)
