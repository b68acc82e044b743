"""The target `systemd`: a unit that runs tfchain's server on one machine, with little right, and what installs it."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from tfchain.core.errors import InputError
from tfchain.deployment.arguments import check_address
from tfchain.deployment.engine import choose_engine
from tfchain.deployment.targets import measured
from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.options import option
from tfchain.deployment.targets.platform_values import to_comment
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_checks import check_can_run
from tfchain.deployment.targets.server_command import MONITORING, OWN, ServerCommand
from tfchain.deployment.targets.sizing import Sizing, explain_measurement, find_measurement, size_server
from tfchain.deployment.targets.version_checks import check_names

MODELS = "/var/lib/tfchain-models"  # systemd makes /var/lib/tfchain for services with StateDirectory; these are files
_TEXT = re.compile(r"[A-Za-z0-9@_./:=,-]+")

# What a server of models needs nothing of. TensorFlow's products are compiled at run time (oneDNN), and so
# MemoryDenyWriteExecute= is not among them; nor is ~@resources, since it places its threads.
HARDENING = (
    "NoNewPrivileges=yes",
    "DynamicUser=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "ProtectProc=invisible",
    "ProcSubset=all",  # the metrics of the process are read from /proc
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    "SystemCallErrorNumber=EPERM",
    "UMask=0077",
    "DevicePolicy=closed",
    "KeyringMode=private",
)


@dataclass(frozen=True)
class SystemdOptions:
    """Where the server is on the machine, and how it may run.

    Raises:
        InputError: if a value is not possible.
    """

    program: str = option("/opt/tfchain/bin/tfchain-model-server", "the path of tfchain's server on the machine")
    engine: str = option("auto", "what answers, as --engine of the server")
    address: str = option("127.0.0.1", "the address to listen on")
    grpc_port: int = option(8500, "the gRPC port")
    rest_port: int = option(8501, "the REST port")
    memory: str = option("", "the memory limit, 2Gi for example, if not from the measurement")
    cpus: str = option("", "the cores that the server may use, if not those of the measurement")
    batching: bool = option(True, "whether the measurement says how many tokens share a batch")
    api_keys: str = option("", "the path of a file of API keys on the machine, one of which requests must carry")
    tls: str = option("", "the path of a file with key and certificate on the machine (SSLConfig, text format)")

    def __post_init__(self) -> None:
        choose_engine(self.engine, prefers_tflite=False)
        check_address(self.address, {"grpc_port": self.grpc_port, "rest_port": self.rest_port})
        if not _TEXT.fullmatch(self.address):
            raise InputError(
                f"`address` must be an address or a host's name. Received: address={self.address!r}.",
                argument="address",
            )
        size_server(0, None, cpu=self.cpus, memory=self.memory)
        for name in ("program", "api_keys", "tls"):
            path = getattr(self, name)
            if (path or name == "program") and not (PurePosixPath(path).is_absolute() and _TEXT.fullmatch(path)):
                raise InputError(
                    f"`{name}` must be an absolute path of the machine, without blanks. Received: {name}={path!r}.",
                    argument=name,
                )


class SystemdTarget:
    """Writes a folder with a unit, the version, and a script that installs both."""

    name = "systemd"
    summary = "A hardened unit for one machine, with tfchain's server, and what installs it."
    options = SystemdOptions

    def check(self, version: ServedVersion, options: SystemdOptions) -> None:
        """Raises an InputError if tfchain's server cannot run the version."""
        check_names(version)
        check_can_run(version, OWN, engine=options.engine)

    def render(self, version: ServedVersion, options: SystemdOptions) -> tuple[Artefact, ...]:
        """Returns the unit, the metrics' configuration, the version and the script."""
        measurement = find_measurement(version, server=OWN, engine=options.engine)
        version = dataclasses.replace(version, measurement=measurement)
        unit = f"tfchain-{version.model_name}.service"
        return (
            Artefact(unit, make_unit(version, options)),
            Artefact("monitoring.config", MONITORING),
            Artefact(f"models/{version.model_name}/{version.number}", version.path),
            Artefact("install.sh", make_script(version, unit), executable=True),
        )

    def explain(self, version: ServedVersion, options: SystemdOptions) -> tuple[str, ...]:
        """Returns how to install it, and what must be there first."""
        lines = [f"sudo ./install.sh    # REST on {options.address}:{options.rest_port}"]
        lines.append(f"{options.program} must be there: python3 -m venv, and pip install tfchain.")
        for path in (options.api_keys, options.tls):
            lines += [f"{path} must be there, readable for root alone; systemd hands it to the server."] if path else []
        return (*lines, *explain_measurement(version, server=OWN, engine=options.engine))


def make_unit(version: ServedVersion, options: SystemdOptions) -> str:
    """Returns the unit's text."""
    sizing = size_server(version.size_bytes, version.measurement, cpu=options.cpus, memory=options.memory)
    measurement = version.measurement
    lines = [
        f"# Version {version.number} of {version.model_name}"
        + (f", fingerprint {to_comment(version.fingerprint)}." if version.fingerprint else "."),
        *([f"# {measured.describe_measurement(measurement)}"] if measurement is not None else []),
        "[Unit]",
        f"Description=tfchain's server of {version.model_name}",
        "Documentation=https://www.tensorflow.org/tfx/serving/api_rest",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=exec",
        "ExecStart=" + " \\\n  ".join([options.program, *make_arguments(version, options, sizing)]),
        "Environment=TF_CPP_MIN_LOG_LEVEL=2 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp",
        *(f"LoadCredential={name}:{path}" for name, path in _credentials(options).items()),
        "Restart=on-failure",
        "RestartSec=2",
        f"TimeoutStartSec={sizing.start_seconds}",
        "TimeoutStopSec=30",
        "LimitNOFILE=65536",
        "TasksMax=4096",
        f"MemoryHigh={sizing.memory_limit_mib * 9 // 10}M",
        f"MemoryMax={sizing.memory_limit_mib}M",
        *([f"CPUQuota={100 * sizing.threads}%"] if options.cpus else []),
        f"ReadOnlyPaths={MODELS}",
        *HARDENING,
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def make_arguments(version: ServedVersion, options: SystemdOptions, sizing: Sizing) -> list[str]:
    """Returns the server's arguments."""
    credentials = {name: f"%d/{name}" for name in _credentials(options)}
    command = ServerCommand(
        OWN,
        version.model_name,
        f"{MODELS}/{version.model_name}",
        threads=sizing.threads if options.cpus else 0,  # else all cores of the machine
        grpc_port=options.grpc_port,
        rest_port=options.rest_port,
        engine=options.engine,
        api_key_file=credentials.get("api_keys", ""),
    )
    more = [
        f"--host={options.address}",
        f"--monitoring_config_file={MODELS}/{version.model_name}.monitoring.config",
        "--enable_grpc_healthcheck_service=true",
    ]
    if "tls" in credentials:
        more += [f"--{flag}={credentials['tls']}" for flag in ("ssl_config_file", "rest_ssl_config_file")]
    if options.batching and version.measurement is not None:
        batching = measured.find_batching(version)
        tokens = None if batching is None else measured.find_batch_tokens(batching, version.measurement)
        more += [] if tokens is None else [f"--text_batching_tokens={tokens}"]
    return [*command.arguments(), *more]


def make_script(version: ServedVersion, unit: str) -> str:
    """Returns the script that installs the unit: the version first, and beside the one that may be served now."""
    name, number = version.model_name, version.number
    return f"""#!/bin/sh
# Installs version {number} of {name}, and starts it. Run it as root in this folder.
set -eu
cd "$(dirname "$0")"
models={MODELS}/{name}
mkdir -p "$models"
if [ ! -e "$models/{number}" ]; then
  rm -rf "$models/.partial-{number}"
  cp -r "models/{name}/{number}" "$models/.partial-{number}"
  chmod -R a+rX "{MODELS}"
  mv "$models/.partial-{number}" "$models/{number}"
fi
install -m 644 monitoring.config "{MODELS}/{name}.monitoring.config"
install -m 644 {unit} /etc/systemd/system/{unit}
systemctl daemon-reload
systemctl enable {unit}
systemctl restart {unit}
"""


def _credentials(options: SystemdOptions) -> dict[str, str]:
    """Returns the secrets that systemd reads as root and hands to the service alone, by their names there."""
    named = {"api_keys": options.api_keys, "tls": options.tls}
    return {name: path for name, path in named.items() if path}
