"""The target `kubernetes`: checks a version, and writes Kustomize folders and a Helm chart for it."""

from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.kubernetes.canary import make_canary_overlay, split_replicas
from tfchain.deployment.targets.kubernetes.helm import make_chart
from tfchain.deployment.targets.kubernetes.kustomize import make_kustomize
from tfchain.deployment.targets.kubernetes.manifests import make_adapter_rules
from tfchain.deployment.targets.kubernetes.options import KubernetesOptions
from tfchain.deployment.targets.kubernetes.plan import APP, CANARY, TRACK, ClusterPlan, make_plan
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_checks import check_can_run
from tfchain.deployment.targets.sizing import explain_measurement
from tfchain.deployment.targets.version_checks import check_names
from tfchain.deployment.targets.yaml_text import to_yaml

ADAPTER = "prometheus-adapter.yaml"


class KubernetesTarget:
    """A version on Kubernetes: Deployment, Services, autoscaler, disruption budget, network policy, metrics."""

    name = "kubernetes"
    summary = "Kustomize folders (base, dev, prod, canary) and a Helm chart for a Kubernetes cluster."
    options = KubernetesOptions

    def check(self, version: ServedVersion, options: KubernetesOptions) -> None:
        """Raises an InputError if the server does not run the version, or the canary's share cannot be had."""
        check_names(version)
        check_can_run(version, options.server, image=options.server_image, engine=options.engine)
        make_plan(version, options)
        if options.canary:
            split_replicas(options.canary, replicas=options.replicas, most=options.max_replicas)

    def render(self, version: ServedVersion, options: KubernetesOptions) -> tuple[Artefact, ...]:
        """Returns the files."""
        plan = make_plan(version, options)
        adapter = Artefact(ADAPTER, to_yaml(make_adapter_rules(), comment="Values for the chart prometheus-adapter."))
        canary = make_canary_overlay(plan) if options.canary else ()
        return (*make_kustomize(plan), *canary, *make_chart(plan), adapter)

    def explain(self, version: ServedVersion, options: KubernetesOptions) -> tuple[str, ...]:
        """Returns the commands, and what rests on assumptions."""
        plan = make_plan(version, options)
        lines = [_explain_place(plan)]
        if options.canary:
            split = split_replicas(options.canary, replicas=options.replicas, most=options.max_replicas)
            lines += [
                f"As a canary: kubectl apply -k overlays/canary ({split.canary} pod(s) beside {split.stable} live "
                f"ones: {split.percent:.0f} % of the connections).",
                f"Promote: kubectl apply -k overlays/prod && {_delete_canary(plan)}",
                f"Roll back: {_delete_canary(plan)}, and apply overlays/prod of the live version.",
            ]
        lines += [
            f"kubectl create namespace {plan.namespace} && kubectl apply -k overlays/prod",
            f"Or: helm upgrade --install {plan.name} helm/{plan.name} --namespace {plan.namespace} --create-namespace",
            "The ServiceMonitor needs the Prometheus Operator; scaling by requests needs the Prometheus adapter with "
            f"the rules of {ADAPTER}.",
        ]
        lines += explain_measurement(version, server=options.server, engine=options.engine)
        return tuple(lines)


def _delete_canary(plan: ClusterPlan) -> str:
    return f"kubectl -n {plan.namespace} delete deployment,configmap -l {APP}={plan.name},{TRACK}={CANARY}"


def _explain_place(plan: ClusterPlan) -> str:
    place, folder = plan.options.place, f"{plan.model_name}/{plan.number}"
    if place.scheme == "image":
        return f"{plan.options.server_image} must hold the version at {plan.version_path}."
    if place.is_bucket:
        return f"Upload the version first: rclone copy .../{folder} {place.uri(str(plan.number))}"
    return f"Copy the version onto the claim {place.root} first, as {place.below(str(plan.number))}."
