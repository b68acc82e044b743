"""The target `docker`: an image with the version inside, and a compose file that runs it with little right and room."""

import dataclasses
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.signatures import TFLITE_FILE
from tfchain.deployment.arguments import check_address
from tfchain.deployment.engine import choose_engine
from tfchain.deployment.targets import dockerfiles, measured, server_source
from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.compose import SECRETS, ComposeParts, make_compose
from tfchain.deployment.targets.dockerfiles import ImageParts
from tfchain.deployment.targets.options import option
from tfchain.deployment.targets.platform_values import check_image, read_quantity
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_checks import check_can_run, check_secured
from tfchain.deployment.targets.server_command import MONITORING, OWN, STOCK, ServerCommand
from tfchain.deployment.targets.sizing import Sizing, explain_measurement, find_measurement, size_server
from tfchain.deployment.targets.version_checks import STOCK_IMAGE, check_names
from tfchain.deployment.targets.yaml_text import to_yaml

if TYPE_CHECKING:
    from tfchain.deployment.capacity.batch_settings import BatchSettings

LEAN = "lean"
SERVERS = (STOCK, OWN, LEAN)
NOT_IN_LEAN = ("variables", TFLITE_FILE)  # only TensorFlow and LiteRT read them
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*")  # what Docker takes as an image's name


@dataclass(frozen=True)
class DockerOptions:
    """What to build, and how it may run.

    Raises:
        InputError: if a value is not possible.
    """

    server: str = option("stock", "stock: TensorFlow Serving; own: tfchain's server; lean: that without TensorFlow")
    image: str = option(STOCK_IMAGE, "stock: the image with the server; its tag names the release")
    base_image: str = option("python:3.13-slim-bookworm", "own, lean: the image with Python to run in")
    build_image: str = option("python:3.13-bookworm", "own, lean: the image with the same Python and gcc to build in")
    source: str | None = option(None, "own, lean: a wheel or source archive of tfchain instead of this checkout")
    engine: str = option("auto", "own: what answers, as --engine of the server")
    address: str = option("127.0.0.1", "the address of the machine on which the ports are open")
    grpc_port: int = option(8500, "the gRPC port of the machine")
    rest_port: int = option(8501, "the REST port of the machine")
    memory: str = option("", "the memory limit, 2Gi for example, if not from the measurement")
    cpus: str = option("", "the cores that the server may use, if not those of the measurement")
    batching: bool = option(True, "whether texts of different clients share a batch, as the measurement says")
    p99_ms: float | None = option(
        None, "the time for 99 of 100 answers, for batching; none: ten times that of one alone"
    )
    api_keys: bool = option(False, f"own, lean: requests carry a key of {SECRETS['api_keys']}")
    tls: bool = option(False, f"TLS, with key and certificate in {SECRETS['tls']}")

    def __post_init__(self) -> None:
        if self.server not in SERVERS:
            raise InputError(
                f"`server` must be one of {', '.join(SERVERS)}. Received: server={self.server!r}.", argument="server"
            )
        choose_engine(self.engine, prefers_tflite=False)
        check_address(self.address, {"grpc_port": self.grpc_port, "rest_port": self.rest_port})
        _check_ip(self.address)
        for name in ("grpc_port", "rest_port"):
            check_whole_number(name, getattr(self, name), advice="Clients must know it.")
        for name in ("image", "base_image", "build_image"):
            check_image(name, getattr(self, name))
        size_server(0, None, cpu=self.cpus, memory=self.memory)
        if self.p99_ms is not None and not self.p99_ms > 0:
            raise InputError(
                f"`p99_ms` must be a positive number. Received: p99_ms={self.p99_ms!r}.", argument="p99_ms"
            )
        check_secured(self.server, api_keys=self.api_keys)


class DockerTarget:
    """Writes a folder for `docker compose up --build`."""

    name = "docker"
    summary = "A Dockerfile and a compose file: TensorFlow Serving or tfchain's server with the version inside."
    options = DockerOptions

    def check(self, version: ServedVersion, options: DockerOptions) -> None:
        """Raises an InputError if the image's server cannot run the version."""
        check_names(version)
        if not _NAME.fullmatch(version.model_name):
            raise InputError(
                "Docker takes names of lower-case letters and digits, with single `.`, `_` or `-` between. Received: "
                f"model_name={version.model_name!r}. Give another with --name.",
                argument="name",
            )
        check_can_run(version, options.server, image=options.image, engine=options.engine)

    def render(self, version: ServedVersion, options: DockerOptions) -> tuple[Artefact, ...]:
        """Returns Dockerfile, compose file, configuration, the version, and what the server is built from."""
        version = _with_measurement(version, options)
        sizing = _size(version, options)
        batching = _find_batching(version, options)
        command = make_command(version, options, sizing, batching)
        is_stock = options.server == STOCK
        parts = ImageParts(
            labels=make_labels(version),
            flags=command,
            health=dockerfiles.make_stock_health(version.model_name)
            if is_stock
            else dockerfiles.make_own_health(has_tls=options.tls),
            start_seconds=sizing.start_seconds,
        )
        compose = make_compose(_make_compose_parts(version, options, command, sizing))
        dockerfile = [Artefact("Dockerfile", dockerfiles.make_stock_dockerfile(options.image, parts))]
        return (
            *(dockerfile if is_stock else _render_own(options, parts)),
            Artefact("compose.yaml", to_yaml(compose)),
            Artefact(".dockerignore", "secrets\n"),
            *_render_config(version, options, batching),
            *list_version_files(version, is_lean=options.server == LEAN),
        )

    def explain(self, version: ServedVersion, options: DockerOptions) -> tuple[str, ...]:
        """Returns how to start it, what to put there first, and what was left out."""
        lines = [f"docker compose up --build    # REST on {options.address}:{options.rest_port}"]
        for name in _list_secrets(options):
            lines.append(
                f"Put {SECRETS[name]} there first, readable for the user 10001: it is mounted, never built in."
            )
        if options.tls and options.server == STOCK:
            lines.append("TensorFlow Serving has TLS on the gRPC port alone: put a proxy in front of the REST port.")
        server, engine = _find_answering(options)
        lines += explain_measurement(version, server=server, engine=engine)
        version = _with_measurement(version, options)
        unbatched = measured.list_unbatched(version)
        if unbatched and _find_batching(version, options) is not None and options.server == STOCK:
            lines += unbatched
        if options.server == LEAN:
            left = sorted(set(version.signatures) - set(version.native_signatures))
            lines += [f"Without TensorFlow, requests of {', '.join(left)} are refused."] if left else []
            lines.append("It needs a processor with AVX-512 VNNI, and does not start without.")
        return tuple(lines)


def make_command(
    version: ServedVersion, options: DockerOptions, sizing: Sizing, batching: "BatchSettings | None"
) -> list[str]:
    """Returns the server's arguments in the container."""
    secrets = {name: f"/run/secrets/{name}" for name in _list_secrets(options)}
    is_stock, measurement = options.server == STOCK, version.measurement
    command = ServerCommand(
        STOCK if is_stock else OWN,
        version.model_name,
        f"/models/{version.model_name}",
        threads=sizing.threads if options.cpus or measurement is not None else 0,
        engine="native" if options.server == LEAN else options.engine,
        monitoring_file="/config/monitoring.config",
        batching_file="/config/batching.config" if batching is not None and is_stock else "",
        api_key_file=secrets.get("api_keys", ""),
    )
    more = ["--enable_grpc_healthcheck_service=true"]
    if not is_stock:
        more.append("--monitoring_config_file=/config/monitoring.config")
    if options.tls:
        more.append(f"--ssl_config_file={secrets['tls']}")
        more += [] if is_stock else [f"--rest_ssl_config_file={secrets['tls']}"]
    if options.server == OWN and batching is not None and measurement is not None:
        tokens = measured.find_batch_tokens(batching, measurement)
        more += [] if tokens is None else [f"--text_batching_tokens={tokens}"]
    return [*command.arguments(), *more]


def make_labels(version: ServedVersion) -> dict[str, str]:
    """Returns an image's labels: OCI's names for what they have a name for, and tfchain's own."""
    labels = {
        "org.opencontainers.image.title": version.model_name,
        "org.opencontainers.image.version": str(version.number),
        "org.opencontainers.image.description": f"{version.task or 'A model'} by tfchain",
    }
    if version.task is not None:
        labels["org.tfchain.task"] = version.task
    if version.fingerprint is not None:
        labels["org.tfchain.fingerprint"] = version.fingerprint
    return labels


def list_version_files(version: ServedVersion, *, is_lean: bool) -> list[Artefact]:
    """Returns the version as files of the target, in `models/<name>/<number>`."""
    inside = f"models/{version.model_name}/{version.number}"
    if not is_lean:
        return [Artefact(inside, version.path)]
    return [
        Artefact(f"{inside}/{path.name}", path)
        for path in sorted(version.path.iterdir())
        if path.name not in NOT_IN_LEAN
    ]


def _find_answering(options: DockerOptions) -> tuple[str, str]:
    """Returns the server and the engine, as measurements are told apart by."""
    if options.server == LEAN:
        return OWN, "native"
    return options.server, options.engine


def _with_measurement(version: ServedVersion, options: DockerOptions) -> ServedVersion:
    """Returns the version without its measurement if another engine was measured."""
    server, engine = _find_answering(options)
    return dataclasses.replace(version, measurement=find_measurement(version, server=server, engine=engine))


def _size(version: ServedVersion, options: DockerOptions) -> Sizing:
    return size_server(version.size_bytes, version.measurement, cpu=options.cpus, memory=options.memory)


def _check_ip(address: str) -> None:
    """Raises an InputError if ports cannot be opened on an address: Docker takes no hosts' names."""
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise InputError(
            f"`address` must be an IP address of the machine, such as 127.0.0.1 or ::1. Received: address={address!r}.",
            argument="address",
        ) from error


def _to_cores(cpu: str) -> str:
    """Returns processors as compose writes them: 0.5 where Kubernetes has 500m."""
    return f"{float(read_quantity('cpus', cpu)):g}"


def _find_batching(version: ServedVersion, options: DockerOptions) -> "BatchSettings | None":
    """Returns the batching; the native engine gains nothing by it."""
    return measured.find_batching(version, options.p99_ms) if options.batching and options.server != LEAN else None


def _list_secrets(options: DockerOptions) -> list[str]:
    return [name for name in SECRETS if getattr(options, name)]


def _render_config(version: ServedVersion, options: DockerOptions, batching: "BatchSettings | None") -> list[Artefact]:
    files = [Artefact("config/monitoring.config", MONITORING)]
    if batching is not None and version.measurement is not None and options.server == STOCK:
        text = f"# {measured.describe_measurement(version.measurement)}\n{batching.to_text()}"
        files.append(Artefact("config/batching.config", text))
    return files


def _render_own(options: DockerOptions, parts: ImageParts) -> list[Artefact]:
    source, is_lean = server_source.make_source(options.source), options.server == LEAN
    dockerfile = dockerfiles.make_own_dockerfile(
        options.base_image, options.build_image, source.path, parts, is_lean=is_lean
    )
    return [
        Artefact("Dockerfile", dockerfile),
        Artefact("requirements.txt", server_source.read_requirements("lean" if is_lean else "server")),
        Artefact("requirements-build.txt", server_source.read_requirements("build")),
        Artefact(dockerfiles.HEALTH_CHECK, dockerfiles.OWN_HEALTH),
        source,
        *(server_source.list_messages() if is_lean else []),
    ]


def _make_compose_parts(
    version: ServedVersion, options: DockerOptions, command: list[str], sizing: Sizing
) -> ComposeParts:
    return ComposeParts(
        name=version.model_name.replace(".", "-"),
        image=f"{version.model_name}:{version.number}",
        command=command,
        address=f"[{options.address}]" if ":" in options.address else options.address,
        grpc_port=options.grpc_port,
        rest_port=options.rest_port,
        memory_mib=sizing.memory_limit_mib,
        cpus=_to_cores(sizing.cpu) if options.cpus or sizing.is_measured else None,
        secrets=_list_secrets(options),
    )
