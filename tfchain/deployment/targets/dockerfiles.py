"""The Dockerfiles: a stock TensorFlow Serving with the version, and the embedded server with or without TensorFlow."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

USER = "10001:10001"
STOCK_PROGRAM = "tensorflow_model_server"
OWN_PROGRAM = "tfchain-model-server"
HEALTH_CHECK = "healthcheck.py"
PORTS = "EXPOSE 8500 8501"

# The stock image has no curl and no Python, but bash, which opens sockets itself.
STOCK_HEALTH = (
    "exec 3<>/dev/tcp/127.0.0.1/8501 && printf 'GET /v1/models/{name} HTTP/1.0\\r\\n\\r\\n' >&3 "
    "&& grep -q AVAILABLE <&3"
)
OWN_HEALTH = '''"""Asks the server of this container whether it is ready: 0 if it is."""

import ssl
import sys
import urllib.request

# The certificate is for the name that clients use, and this is the same machine.
context = ssl._create_unverified_context() if sys.argv[1].startswith("https:") else None
try:
    with urllib.request.urlopen(sys.argv[1], timeout=4, context=context) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except OSError as error:
    sys.exit(f"not ready: {error}")
'''


@dataclass(frozen=True)
class ImageParts:
    """What a Dockerfile says of an image.

    Args:
        labels: Its labels, by OCI's names.
        flags: The server's command line.
        health: The command of the health check.
        start_seconds: How long a start may take.
    """

    labels: Mapping[str, str]
    flags: Sequence[str]
    health: Sequence[str]
    start_seconds: int


def make_stock_dockerfile(image: str, parts: ImageParts) -> str:
    """Returns the Dockerfile of a stock TensorFlow Serving.

    Args:
        image: The image with the server.
        parts: What it says of the image.
    """
    lines = [
        "# Stock TensorFlow Serving with one version of a model inside. Build it in this folder.",
        f"FROM {image}",
        *_make_labels(parts.labels),
        "COPY config /config",
        "COPY models /models",
        f"USER {USER}",
        PORTS,
        *_make_start(parts, STOCK_PROGRAM),
    ]
    return "\n".join(lines) + "\n"


def make_own_dockerfile(base_image: str, build_image: str, source: str, parts: ImageParts, *, is_lean: bool) -> str:
    """Returns the Dockerfile of the embedded server.

    Args:
        base_image: The image with Python to run it in.
        build_image: The image with the same Python, a C compiler and pip to build it in.
        source: The name of tfchain's source archive or wheel in the folder.
        parts: What it says of the image.
        is_lean: Whether TensorFlow is left out.
    """
    site = "/opt/tfchain/lib/python3*/site-packages"
    build = [
        "RUN python3 -m venv /opt/tfchain \\",
        " && /opt/tfchain/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: \\",
        "      -r requirements.txt",
    ]
    if source.endswith(".whl"):
        build += [f"RUN /opt/tfchain/bin/pip install --no-cache-dir --no-deps --no-index ./{source} \\"]
    else:
        build += [
            "RUN python3 -m venv tools \\",
            " && tools/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: \\",
            "      -r requirements-build.txt \\",
            f" && tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist ./{source} \\",
            " && /opt/tfchain/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl \\",
        ]
    # Without the kernels the lean server answers nothing, and setup.py goes on without a compiler.
    build += [f" && ls {site}/tfchain/models/engines/_kernels*.so \\"] if is_lean else []
    build += [
        f" && find {site} -type d '(' -name tests -o -name f2py ')' -prune -exec rm -rf {{}} + \\",
        f" && find {site} -type f '(' -name '*.pyi' -o -name '*.a' ')' -delete \\",
        " && /opt/tfchain/bin/pip uninstall --yes setuptools pip \\",
        " && rm -f /opt/tfchain/bin/tfchain",  # the server's program alone is in the image
    ]
    messages = [f"COPY messages /tmp/messages\nRUN cp -r /tmp/messages/* {site}/"] if is_lean else []
    lines = [
        f"# tfchain's server {'without' if is_lean else 'with'} TensorFlow, and one version of a model inside.",
        f"ARG BASE_IMAGE={base_image}",
        f"ARG BUILD_IMAGE={build_image}",
        "",
        "FROM ${BUILD_IMAGE} AS build",
        "WORKDIR /build",
        f"COPY requirements.txt requirements-build.txt {source} ./",
        *build,
        *messages,
        "",
        "FROM ${BASE_IMAGE}",
        *_make_labels(parts.labels),
        "COPY --from=build /opt/tfchain /opt/tfchain",
        f"COPY {HEALTH_CHECK} /opt/tfchain/{HEALTH_CHECK}",
        "COPY config /config",
        "COPY models /models",
        "ENV PATH=/opt/tfchain/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1",
        f"USER {USER}",
        PORTS,
        *_make_start(parts, OWN_PROGRAM),
    ]
    return "\n".join(lines) + "\n"


def make_own_health(*, has_tls: bool) -> list[str]:
    """Returns the command that asks the embedded server whether it is ready."""
    return ["python3", f"/opt/tfchain/{HEALTH_CHECK}", f"http{'s' if has_tls else ''}://127.0.0.1:8501/ready"]


def make_stock_health(model_name: str) -> list[str]:
    """Returns the command that asks a stock server whether a version of the model is available."""
    return ["bash", "-c", STOCK_HEALTH.format(name=model_name)]


def _make_labels(labels: Mapping[str, str]) -> list[str]:
    pairs = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
    return ["LABEL " + " \\\n      ".join(pairs)]


def _make_start(parts: ImageParts, program: str) -> list[str]:
    health = json.dumps(list(parts.health), ensure_ascii=False)
    flags = ", \\\n     ".join(json.dumps(flag, ensure_ascii=False) for flag in parts.flags)
    return [
        f"HEALTHCHECK --interval=10s --timeout=5s --start-period={parts.start_seconds}s --retries=3 \\",
        f"  CMD {health}",
        f'ENTRYPOINT ["{program}"]',
        f"CMD [{flags}]",
    ]
