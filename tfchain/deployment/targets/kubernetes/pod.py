"""The pod of a version: the server, its probes and volumes, and what fetches the version from a bucket."""

import math
from typing import Any

from tfchain.deployment.targets.kubernetes.plan import CONFIG_PATH, KEYS_FILE, KEYS_PATH, ClusterPlan
from tfchain.deployment.targets.model_place import ModelPlace
from tfchain.deployment.targets.server_command import GRPC_PORT, REST_PORT, status_path

USER = 10001  # any user that is not root: the servers write to /tmp alone
PROBE_SECONDS = 5
GOOGLE_KEY = "key.json"
_LOCKED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
# In the secret → whether it may be left out.
_AWS_KEYS = {
    "AWS_ACCESS_KEY_ID": False,
    "AWS_SECRET_ACCESS_KEY": False,
    "AWS_SESSION_TOKEN": True,
}


def make_pod(plan: ClusterPlan) -> dict[str, Any]:
    """Makes the pod's template: labels, annotations and specification."""
    options = plan.options
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,  # the pods never ask the cluster's own API
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 60,
    }
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.place.is_bucket:
        spec["initContainers"] = [make_loader(plan, options.place)]
    spec["containers"] = [make_server(plan)]
    spec["volumes"] = make_volumes(plan)
    return {"metadata": {"labels": plan.labels(), "annotations": plan.annotations()}, "spec": spec}


def make_server(plan: ClusterPlan) -> dict[str, Any]:
    """Makes the container of the server."""
    command, sizing, place = plan.command(), plan.sizing, plan.options.place
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]
    if place.is_bucket:
        mounts.append({"name": "model", "mountPath": plan.base_path, "readOnly": True})
    elif place.scheme == "pvc":
        # This version alone: the server takes the highest that it sees, and a rolled-back one would come back.
        path = place.below(str(plan.number))
        mounts.append({"name": "model", "mountPath": plan.version_path, "subPath": path, "readOnly": True})
    if plan.files:
        mounts.append({"name": "config", "mountPath": CONFIG_PATH, "readOnly": True})
    if plan.options.api_key_secret:
        mounts.append({"name": "keys", "mountPath": KEYS_PATH, "readOnly": True})
    return {
        "name": "server",
        "image": plan.options.server_image,
        "command": [command.program],
        "args": command.arguments(),
        "env": [{"name": "HOME", "value": "/tmp"}],
        "ports": [{"name": "grpc", "containerPort": GRPC_PORT}, {"name": "rest", "containerPort": REST_PORT}],
        "resources": {
            "requests": {"cpu": sizing.cpu, "memory": sizing.memory_request},
            "limits": {"memory": sizing.memory_limit},  # none of processors: a throttled server answers late
        },
        **make_probes(plan),
        # Connections that exist go on until the pod is out of all routes.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "10"]}}},
        "securityContext": _LOCKED,
        "volumeMounts": mounts,
    }


def make_probes(plan: ClusterPlan) -> dict[str, Any]:
    """Makes the probes: started, ready and live.

    A stock server opens its ports when the version is loaded. Its status requests wait behind others under load, so
    whether it lives is asked by a connection alone, and a busy server is not restarted.
    """
    if plan.is_stock:
        ready: dict[str, Any] = {"httpGet": {"path": status_path(plan.model_name, plan.number), "port": "rest"}}
        live: dict[str, Any] = {"tcpSocket": {"port": "grpc"}}
    else:
        ready, live = ({"httpGet": {"path": path, "port": "rest"}} for path in ("/ready", "/live"))
    tries = math.ceil(plan.sizing.start_seconds / PROBE_SECONDS)
    return {
        "startupProbe": {**ready, "periodSeconds": PROBE_SECONDS, "timeoutSeconds": 2, "failureThreshold": tries},
        "readinessProbe": {**ready, "periodSeconds": PROBE_SECONDS, "timeoutSeconds": 2, "failureThreshold": 3},
        "livenessProbe": {**live, "periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 3},
    }


def make_loader(plan: ClusterPlan, place: ModelPlace) -> dict[str, Any]:
    """Makes the container that fetches the version, before the server starts; a failed one starts again."""
    kind = "gcs" if place.scheme == "gs" else "s3,provider=AWS"
    region = f",region={plan.options.region}" if plan.options.region else ""
    source = f":{kind},env_auth=true{region}:{'/'.join((place.root, place.below(str(plan.number))))}"
    secret = plan.options.credentials_secret
    environment: list[dict[str, Any]] = [{"name": "HOME", "value": "/tmp"}]
    mounts: list[dict[str, Any]] = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "model", "mountPath": plan.base_path},
    ]
    if secret and place.scheme == "gs":
        environment.append({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"/etc/bucket/{GOOGLE_KEY}"})
        mounts.append({"name": "bucket", "mountPath": "/etc/bucket", "readOnly": True})
    elif secret:
        environment += [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name, "optional": is_optional}}}
            for name, is_optional in _AWS_KEYS.items()
        ]
    return {
        "name": "fetch",
        "image": plan.options.loader_image,
        "command": ["rclone"],
        "args": [
            "copy",
            "--config=/dev/null",  # none is written: the root file system is read-only
            "--ignore-times",  # a second run fetches all again, so that no file transferred means an empty place,
            "--error-on-no-transfer",  # which is an error here rather than a server that waits for a version
            "--transfers=8",
            source,
            plan.version_path,
        ],
        "env": environment,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": _LOCKED,
        "volumeMounts": mounts,
    }


def make_volumes(plan: ClusterPlan) -> list[dict[str, Any]]:
    """Makes the pod's volumes."""
    options, place = plan.options, plan.options.place
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]
    if place.is_bucket:
        room = max(64, math.ceil(1.2 * plan.size_bytes / 2**20))
        volumes.append({"name": "model", "emptyDir": {"sizeLimit": f"{room}Mi"}})
    elif place.scheme == "pvc":
        volumes.append({"name": "model", "persistentVolumeClaim": {"claimName": place.root, "readOnly": True}})
    if plan.files:
        volumes.append({"name": "config", "configMap": {"name": plan.config_name}})
    if options.api_key_secret:
        items = [{"key": KEYS_FILE, "path": KEYS_FILE}]
        volumes.append({"name": "keys", "secret": {"secretName": options.api_key_secret, "items": items}})
    if options.credentials_secret and place.scheme == "gs":
        items = [{"key": GOOGLE_KEY, "path": GOOGLE_KEY}]
        volumes.append({"name": "bucket", "secret": {"secretName": options.credentials_secret, "items": items}})
    return volumes
