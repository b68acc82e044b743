"""The objects around the pods: Deployment, Service, scaling, disruption budget, network policy, metrics."""

from collections.abc import Mapping
from typing import Any

from tfchain.deployment.targets.kubernetes.plan import APP, METRICS_KEY, TRACK, VERSION, ClusterPlan
from tfchain.deployment.targets.kubernetes.pod import make_pod
from tfchain.deployment.targets.server_command import GRPC_PORT, METRICS_PATHS, REST_PORT

RATE_METRIC = "tfchain_requests_per_second"  # by the rules of prometheus-adapter.yaml
Manifest = dict[str, Any]


def make_manifests(plan: ClusterPlan) -> dict[str, Manifest]:
    """Makes all objects of a version: file's name without ending → manifest."""
    manifests = {
        "deployment": make_deployment(plan),
        "service": make_service(plan),
        "grpc-service": make_grpc_service(plan),
        "autoscaler": make_autoscaler(plan),
        "disruption-budget": make_disruption_budget(plan),
        "network-policy": make_network_policy(plan),
        "service-monitor": make_service_monitor(plan),
    }
    return {"config": make_config(plan), **manifests} if plan.files else manifests


def make_config(plan: ClusterPlan) -> Manifest:
    """Makes the ConfigMap with the server's configuration."""
    manifest = _object("v1", "ConfigMap", plan, name=plan.config_name)
    manifest["metadata"]["labels"] = plan.selector()
    return manifest | {"data": dict(plan.files)}


def make_deployment(plan: ClusterPlan, *, replicas: int | None = None) -> Manifest:
    """Makes the Deployment.

    Args:
        plan: The plan.
        replicas: The number of pods. Default: None, the autoscaler says it, and applying the file leaves it alone.
    """
    spec: dict[str, Any] = {} if replicas is None else {"replicas": replicas}
    spec |= {
        "revisionHistoryLimit": 5,
        "progressDeadlineSeconds": plan.sizing.start_seconds + 300,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": plan.selector()},
        "template": make_pod(plan),
    }
    manifest = _object("apps/v1", "Deployment", plan, name=plan.workload)
    manifest["metadata"]["labels"] = plan.labels()
    return manifest | {"spec": spec}


def make_service(plan: ClusterPlan) -> Manifest:
    """Makes the Service: pods of all tracks behind one address, each connection to one of them."""
    ports = [("grpc", GRPC_PORT), ("rest", REST_PORT)]
    return _object("v1", "Service", plan) | {
        "spec": {
            "selector": {APP: plan.name},
            "ports": [{"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in ports],
        }
    }


def make_grpc_service(plan: ClusterPlan) -> Manifest:
    """Makes the headless Service for clients of gRPC, which choose among the pods themselves (`round_robin`).

    They keep one connection: behind the other Service all their requests would reach one pod.
    """
    port = {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "protocol": "TCP"}
    spec = {"clusterIP": "None", "selector": {APP: plan.name}, "ports": [port]}
    return _object("v1", "Service", plan, name=f"{plan.name}-grpc") | {"spec": spec}


def make_autoscaler(plan: ClusterPlan, *, least: int = 1, most: int = 2) -> Manifest:
    """Makes the HorizontalPodAutoscaler: by processors, and by requests where it is known how many a pod answers.

    Args:
        plan: The plan.
        least: Fewest pods. Default: 1.
        most: Most pods. Default: 2.
    """
    target = {"type": "Utilization", "averageUtilization": plan.options.cpu_percent}
    metrics: list[dict[str, Any]] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if rate := plan.options.requests_per_second or plan.sizing.requests_per_second:
        average = {"type": "AverageValue", "averageValue": str(rate)}
        metrics.append({"type": "Pods", "pods": {"metric": {"name": RATE_METRIC}, "target": average}})
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", plan) | {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.workload},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": metrics,
            "behavior": {
                "scaleUp": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 30}]},
                "scaleDown": {"stabilizationWindowSeconds": 300},
            },
        }
    }


def make_disruption_budget(plan: ClusterPlan) -> Manifest:
    """Makes the PodDisruptionBudget: at most one pod goes at a time when nodes are drained."""
    return _object("policy/v1", "PodDisruptionBudget", plan) | {
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {APP: plan.name}}}
    }


def make_network_policy(plan: ClusterPlan) -> Manifest:
    """Makes the NetworkPolicy: who may ask, and where the pods may connect to, which is nowhere but a bucket."""
    options = plan.options
    clients: list[dict[str, Any]] = [{"podSelector": {}}]
    clients += [{"namespaceSelector": {"matchLabels": _namespace(name)}} for name in options.client_namespaces]
    monitoring = [{"namespaceSelector": {"matchLabels": _namespace(options.monitoring_namespace)}}]
    egress: list[dict[str, Any]] = []
    if options.place.is_bucket:
        egress = [
            {"ports": [_port(53, "UDP"), _port(53)]},
            {"ports": [_port(443)]},
            # Where pods ask for the identity of their service account.
            {"to": [{"ipBlock": {"cidr": "169.254.0.0/16"}}], "ports": [_port(80), _port(988)]},
        ]
    return _object("networking.k8s.io/v1", "NetworkPolicy", plan) | {
        "spec": {
            "podSelector": {"matchLabels": {APP: plan.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": clients, "ports": [_port(GRPC_PORT), _port(REST_PORT)]},
                {"from": monitoring, "ports": [_port(REST_PORT)]},
            ],
            "egress": egress,
        }
    }


def make_service_monitor(plan: ClusterPlan) -> Manifest:
    """Makes the ServiceMonitor of the Prometheus Operator."""
    endpoint: dict[str, Any] = {
        "port": "rest",
        "path": METRICS_PATHS[plan.options.server],
        "interval": "15s",
        "scrapeTimeout": "10s",
    }
    if plan.options.api_key_secret:
        key = {"name": plan.options.api_key_secret, "key": METRICS_KEY}
        endpoint["authorization"] = {"type": "Bearer", "credentials": key}
    return _object("monitoring.coreos.com/v1", "ServiceMonitor", plan) | {
        "spec": {
            "selector": {"matchLabels": {APP: plan.name}},
            "podTargetLabels": [TRACK, VERSION],
            "endpoints": [endpoint],
        }
    }


def make_adapter_rules() -> Mapping[str, Any]:
    """Makes the values for the Prometheus adapter's chart: the servers' counter of requests, as a rate of a pod."""
    return {
        "rules": {
            "custom": [
                {
                    "seriesQuery": '{__name__=":tensorflow:serving:request_count",namespace!="",pod!=""}',
                    "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
                    "name": {"as": RATE_METRIC},
                    "metricsQuery": "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)",
                }
            ]
        }
    }


def _object(api_version: str, kind: str, plan: ClusterPlan, *, name: str = "") -> Manifest:
    metadata = {"name": name or plan.name, "labels": {APP: plan.name}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _namespace(name: str) -> dict[str, str]:
    return {"kubernetes.io/metadata.name": name}


def _port(port: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"protocol": protocol, "port": port}
