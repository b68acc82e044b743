"""How the server's ports are secured and watched: the options, and what the files that they name say."""

import ipaddress
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.grpc.options import Argument
from tfchain.deployment.server.http.monitoring import read_prometheus_path
from tfchain.deployment.server.tls import TlsConfig, read_tls_config

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PortOptions:
    """How the ports are secured and watched; every file is optional, and an empty path means none.

    Args:
        ssl_config_file: A text proto with the key and certificate of gRPC, on its port and its UNIX socket.
        rest_ssl_config_file: The same for REST, where a stock server has no TLS.
        api_key_file: A file of keys, of which each request must carry one.
        monitoring_config_file: A text proto that says where the REST port serves TensorFlow Serving's metrics.
        grpc_arguments: Options of gRPC's own, by name. Default: none.
        has_health: Whether to serve gRPC's health service. Default: False.
    """

    ssl_config_file: str = ""
    rest_ssl_config_file: str = ""
    api_key_file: str = ""
    monitoring_config_file: str = ""
    grpc_arguments: Sequence[Argument] = ()
    has_health: bool = False


@dataclass(frozen=True, slots=True)
class PortFiles:
    """What the files of `PortOptions` say.

    Args:
        tls: The key and certificate of gRPC, or None for gRPC in clear.
        rest_tls: The TLS of REST, or None for REST in clear.
        keys: The API keys, or None to let every request in.
        prometheus_path: The path of TensorFlow Serving's metrics, or None.
    """

    tls: TlsConfig | None = None
    rest_tls: ssl.SSLContext | None = None
    keys: ApiKeys | None = None
    prometheus_path: str | None = None


def read_port_files(options: PortOptions) -> PortFiles:
    """Reads the files of the options.

    Raises:
        InputError: if one cannot be read, or is wrong.
    """
    tls, rest_tls = options.ssl_config_file, options.rest_ssl_config_file
    return PortFiles(
        tls=read_tls_config(tls) if tls else None,
        rest_tls=read_tls_config(rest_tls).make_context() if rest_tls else None,
        keys=ApiKeys(options.api_key_file) if options.api_key_file else None,
        prometheus_path=read_prometheus_path(options.monitoring_config_file)
        if options.monitoring_config_file
        else None,
    )


def warn_of_clear_keys(files: PortFiles, host: str, *, has_grpc: bool, has_rest: bool) -> None:
    """Logs a warning if API keys would cross a network in clear.

    Args:
        files: What the files say.
        host: The address that the ports listen on.
        has_grpc: Whether there is a gRPC port.
        has_rest: Whether there is a REST port.
    """
    if files.keys is None or _is_loopback(host):
        return
    for name, flag, is_clear in (
        ("gRPC", "--ssl_config_file", has_grpc and files.tls is None),
        ("REST", "--rest_ssl_config_file", has_rest and files.rest_tls is None),
    ):
        if is_clear:
            logger.warning(
                "API keys are sent in clear over %s at %s: others on the network can read them. Use %s, or listen on "
                "127.0.0.1 behind a proxy that has TLS.",
                name,
                host,
                flag,
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
