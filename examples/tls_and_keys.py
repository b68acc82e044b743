"""Serve a chain over TLS to clients that show a key; the program `openssl` makes the certificate.

.venv/bin/python examples/tls_and_keys.py [MODEL]
"""

import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import Client, NeuralSearchChain
from tfchain.deployment.client.client import RequestError
from tfchain.deployment.deploy import deploy
from tfchain.deployment.deployed_ports import DeployedPorts

DOCUMENTS = ["heapq.merge merges several sorted inputs into one sorted output.", "shutil.copytree copies a folder."]


def main(arguments: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        NeuralSearchChain(model=arguments[0] if arguments else None).add(DOCUMENTS).export(folder / "docs")
        make_certificate(folder)
        # TensorFlow Serving's own format for --ssl_config_file, which holds the texts, not paths.
        fields = {"server_key": folder / "server.key", "server_cert": folder / "server.pem"}
        tls = folder / "tls.pbtxt"
        tls.write_text("\n".join(f"{field}: {json.dumps(path.read_text())}" for field, path in fields.items()))
        key = secrets.token_urlsafe(32)
        keys = folder / "keys.txt"
        keys.write_text(f"# one a line; the server reads the file again when it changes\n{key}\n")

        ports = DeployedPorts(tls_config=tls, api_key_file=keys)
        with deploy(folder / "docs", model_name="docs", ports=ports) as server:
            ca = folder / "server.pem"  # it signed itself, so clients trust it by itself
            with Client(server.grpc_target, server.rest_url, ca_file=ca, api_key=key) as client:
                for protocol in ("rest", "grpc"):
                    hits = client.search("how do I merge two sorted lists", model="docs", protocol=protocol)[0].hits
                    print(f"{protocol}: {len(hits)} hits, the best is {hits[0].id}")
            with Client(rest_url=server.rest_url, ca_file=ca) as stranger:
                try:
                    stranger.search("how do I merge two sorted lists", model="docs")
                except RequestError as error:
                    print("without a key:", error)


def make_certificate(folder: Path) -> None:
    """Makes a key and a certificate that signs itself, for this machine and two days."""
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    kind = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    )
    files = ("-keyout", "server.key", "-out", "server.pem", "-days", "2", "-subj", "/CN=localhost")
    subprocess.run(
        ["openssl", "req", "-x509", *kind, *files, "-addext", names], cwd=folder, check=True, capture_output=True
    )


if __name__ == "__main__":
    main(sys.argv[1:])
