"""How a deployment's ports are secured and watched, and the server's flags for that."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DeployedPorts:
    """Files that secure and watch the ports of `deploy`, each of which is optional, and what REST serves beside.

    Args:
        tls_config: A text proto of TensorFlow Serving's `SSLConfig`: key and certificate for TLS on gRPC and on REST.
        api_key_file: A file of keys, one a line; each request must carry one as a bearer token.
        monitoring_config: A text proto of TensorFlow Serving's `MonitoringConfig`: where the REST port serves metrics,
            besides `/metrics`.
        has_search_page: Whether the REST port serves the search page at `/`. Default: True.
        has_traces: Whether the server sends OpenTelemetry traces, as this process' `OTEL_…` environment variables say;
            needs the extra `otel`. Default: False.
    """

    tls_config: Path | str | None = None
    api_key_file: Path | str | None = None
    monitoring_config: Path | str | None = None
    has_search_page: bool = True
    has_traces: bool = False

    def to_flags(self) -> list[str]:
        """Returns the server's flags."""
        flags = {
            "ssl_config_file": self.tls_config,
            "rest_ssl_config_file": self.tls_config,
            "api_key_file": self.api_key_file,
            "monitoring_config_file": self.monitoring_config,
        }
        found = [f"--{name}={Path(path).absolute()}" for name, path in flags.items() if path is not None]
        found += [] if self.has_search_page else ["--search_page=false"]
        return [*found, "--otel_traces"] if self.has_traces else found
