"""Certificates for tests of TLS, made by the `openssl` program: a CA, a server's, a client's, and a stranger's."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificates:
    """A folder with `NAME.key` and `NAME.pem` for `ca`, `server`, `client` and `stranger`, who signed himself."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def text(self, name: str) -> str:
        return self.path(name).read_text()

    def write_config(self, path: Path, **fields: str | bool) -> str:
        """Writes a text proto of SSLConfig; by default with the server's key and certificate."""
        values = {"server_key": self.text("server.key"), "server_cert": self.text("server.pem"), **fields}
        path.write_text("\n".join(f"{name}: {json.dumps(value)}" for name, value in values.items()))
        return str(path)


def make_certificates(folder: Path) -> Certificates:
    """Makes the certificates; skips the test where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl, which makes the certificates, is not installed")
    made = Certificates(folder)

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    for name in ("ca", "stranger"):
        run(
            "req", "-x509", *_KEY, "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"
        )
    made.path("names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "client"):
        run("req", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        run("x509", "-req", *signed, "-days", "2", "-out", f"{name}.pem")
    run("pkey", "-in", "server.key", "-aes256", "-passout", "pass:secret", "-out", "encrypted.key")
    return made
