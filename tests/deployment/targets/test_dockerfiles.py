"""The health checks, run for real against a small server of HTTP."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfchain.deployment.targets.dockerfiles import OWN_HEALTH, make_own_health, make_stock_health


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as a server that has the model `docs`, but none of another name."""

    def do_GET(self) -> None:
        is_there = self.path in ("/v1/models/docs", "/ready")
        body = b'{"model_version_status": [{"state": "AVAILABLE"}]}' if is_there else b'{"error": "not found"}'
        self.send_response(200 if is_there else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(10)


def run(command: list[str]) -> int:
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


@pytest.mark.parametrize(("name", "is_healthy"), [("docs", True), ("other", False)])
def test_the_stock_servers_check_needs_bash_alone(port: int, name: str, is_healthy: bool) -> None:
    command = [word.replace("8501", str(port)) for word in make_stock_health(name)]
    assert (run(command) == 0) == is_healthy


def test_a_server_that_is_not_there_is_not_healthy(tmp_path: Path) -> None:
    assert run([word.replace("8501", "1") for word in make_stock_health("docs")]) != 0


@pytest.mark.parametrize(("path", "is_healthy"), [("ready", True), ("live", False)])
def test_our_servers_check_needs_python_alone(port: int, tmp_path: Path, path: str, is_healthy: bool) -> None:
    (tmp_path / "healthcheck.py").write_text(OWN_HEALTH)
    _, _, url = make_own_health(has_tls=False)
    asked = url.replace("8501", str(port)).replace("ready", path)
    assert (run([sys.executable, "-I", "-S", f"{tmp_path}/healthcheck.py", asked]) == 0) == is_healthy
    assert make_own_health(has_tls=True)[2].startswith("https://")
