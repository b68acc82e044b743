"""Odd files: model config files, files of TLS and monitoring, and descriptions of versions."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from tfchain.core.errors import TfchainError
from tfchain.deployment.repository import read_source
from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.config import check_platforms, parse_config, read_config_file
from tfchain.deployment.server.http.monitoring import read_prometheus_path
from tfchain.deployment.server.servables.litert import read_halves
from tfchain.deployment.server.tls import read_tls_config
from tools.fuzz.mutation import mutate

_MODELS = b"""model_config_list { # served
  config { name: "m" base_path: "/models/m" model_platform: "tensorflow"
    model_version_policy { specific { versions: 4 versions: 2 } } version_labels { key: "stable" value: 4 }
    logging_config { sampling_config { sampling_rate: 0.1 } } }
  config { name: 'n' base_path: "file:///n" model_type: TENSORFLOW
    model_version_policy: < latest: < num_versions: 2 > > }
}"""
_TLS = rb"""server_key: "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"
server_cert: "-----BEGIN CERTIFICATE-----\n" client_verify: true custom_ca: "x" """
_MONITORING = b'prometheus_config { enable: true path: "/stock/metrics" }'
_DESCRIPTION = b'{"source": "a", "halves": {"serving_default": {"tokenize": "t", "answer": "s"}}}'
_TOKENS = (
    *(b"{", b"}", b"<", b">", b"[", b"]", b":", b'"', b"'", b"#", b"config", b"{" * 3000, b"[" * 100_000, b"<" * 2000),
    *(
        b"-1",
        b"9" * 5000,
        b"1e999",
        b"nan",
        b'"\\ud800"',
        b'"\\xff"',
        b'"\\400"',
        b'"\\U00110000"',
        b"custom_model_config ",
    ),
    *(b"[type.googleapis.com/tensorflow.serving.ModelServerConfig] { }", b'"a" "b"', b"latest {}", b"all {}", b"true"),
    *(b"custom_model_config { [type.googleapis.com/no.Such] { x: 1 } }", b"\xef\xbb\xbf", b"99999999999: 1", b"null"),
)


def make_file(random: Random) -> tuple[str, bytes]:
    """Makes a kind of file and its content."""
    kind = random.choice(list(_READERS))
    content = _READERS[kind][0]
    return kind, random.randbytes(random.randint(0, 99)) if random.random() < 0.05 else mutate(random, content, _TOKENS)


def check_file(folder: Path, kind: str, content: bytes) -> str:
    """Reads a file, and returns whether it was taken or refused; any other error is a fault."""
    _, name, read = _READERS[kind]
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        read(path)
    except TfchainError as error:
        return "refused" if str(error) else "refused without a word"
    return "taken"


def _read_models(path: Path) -> None:
    check_platforms({}, parse_config(read_config_file(path)) or {})


def _read_description(path: Path) -> None:
    read_source(path.parent.parent)
    read_halves(path.parent.parent)


_READERS: dict[str, tuple[bytes, str, Callable[[Path], object]]] = {
    "models": (_MODELS, "models.config", _read_models),
    "tls": (_TLS, "tls.config", read_tls_config),
    "monitoring": (_MONITORING, "monitoring.config", read_prometheus_path),
    "keys": (b"# ours\nfirst-key\n\nsecond-key\n", "keys.txt", ApiKeys),
    "description": (_DESCRIPTION, "assets.extra/tfchain.json", _read_description),
}
