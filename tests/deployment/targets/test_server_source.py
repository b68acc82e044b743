"""What an image is built from: the same bytes each time, nothing that no server imports, and pinned packages."""

import ast
import io
import re
import sys
import tarfile
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.targets import server_source
from tfchain.deployment.targets.server_source import list_messages, make_source, read_requirements

ROOT = Path(__file__).resolve().parents[3]
# Where a server begins, with what it imports by name once a version needs it.
STARTS = (
    *("chains/model_server", "deployment/server/main", "deployment/server/model_server", "tasks/native_version"),
    *("tasks/search/native_search", "tasks/classification/native_classification"),
    *("tasks/reranking/native_reranking", "deployment/server/workers/supervisor"),
)


@pytest.fixture(scope="module")
def content() -> bytes:
    content = make_source().content
    assert isinstance(content, bytes)
    return content


@pytest.fixture(scope="module")
def files(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        read = {entry.name: archive.extractfile(entry) for entry in archive}
        return {name.partition("/")[2]: file.read() for name, file in read.items() if file is not None}


def test_the_archive_is_the_same_each_time_and_builds_the_kernels(content: bytes, files: dict[str, bytes]) -> None:
    assert make_source().content == content
    assert {"setup.py", "setup.cfg", "pyproject.toml", "tfchain/models/engines/kernels/encoder.c"} <= set(files)
    assert "tfchain/deployment/server/http/page_files/search.html" in files
    assert not [name for name in files if name.endswith((".so", ".pyc"))]


def find_imports(files: dict[str, bytes]) -> tuple[set[str], set[str]]:
    """The files of tfchain that a server imports, and the other packages, both at the tops of files alone."""
    waiting, seen, others = [f"tfchain/{start}.py" for start in STARTS], set(), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.parse(files.get(name, b"")).body:  # imports within functions come when they are asked for
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            others |= {module.split(".")[0] for module in modules} - {"tfchain"}
            waiting += [path for module in modules for path in find_files(module) if (ROOT / path).is_file()]
    return seen, others


def find_files(module: str) -> list[str]:
    """The files that a module of tfchain may be."""
    path = module.replace(".", "/")
    return [f"{path}.py", f"{path}/__init__.py"] if module.startswith("tfchain.") else []


def test_no_server_imports_what_the_archive_leaves_out(files: dict[str, bytes]) -> None:
    seen, _ = find_imports(files)

    assert sorted(seen - set(files)) == []
    assert len(seen) > 100


def test_the_lean_image_has_every_package_that_its_server_imports(files: dict[str, bytes]) -> None:
    packages = re.findall(r"^([a-z-]+)==", read_requirements("lean"), re.MULTILINE)
    modules = {"grpcio": "grpc", "protobuf": "google"}
    there = {modules.get(name, name.replace("grpcio-", "grpc_").replace("-", "_")) for name in packages}
    there |= {"grpc_health", "tensorflow_serving"}
    _, others = find_imports(files)

    assert sorted(others - set(sys.stdlib_module_names) - there) == []
    assert {"numpy", "httptools"} <= others


def test_an_installation_without_its_source_wants_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_source, "PACKAGE", tmp_path / "tfchain")
    with pytest.raises(InputError, match=r"setup\.py is not in .*--set source="):
        make_source()
    (tmp_path / "tfchain-1.0-py3-none-any.whl").write_bytes(b"wheel")
    given = make_source(f"{tmp_path}/tfchain-1.0-py3-none-any.whl")
    assert (given.path, given.content) == ("tfchain-1.0-py3-none-any.whl", tmp_path / "tfchain-1.0-py3-none-any.whl")


@pytest.mark.parametrize("name", ["lean", "server", "build"])
def test_packages_are_pinned_with_hashes_in_the_versions_that_the_tests_run_with(name: str) -> None:
    lock = (ROOT / "requirements.lock").read_text().lower().replace("_", "-").splitlines()
    pinned = [line.removesuffix(" \\") for line in read_requirements(name).splitlines() if "==" in line]
    wanted = (server_source.PACKAGE / "deployment" / "targets" / "requirements" / f"{name}.in").read_text()
    names = [line for line in wanted.splitlines() if line and not line.startswith("#")]

    assert [re.split("[=<>]", line)[0] for line in pinned] == [re.split("[=<>]", line)[0] for line in names]
    assert [line for line in pinned if line not in lock and not line.startswith("setuptools")] == []
    assert read_requirements(name).count("--hash=sha256:") >= len(pinned)


def test_the_messages_are_those_that_the_server_imports() -> None:
    names = {artefact.path for artefact in list_messages()}

    assert "messages/tensorflow/core/framework/tensor_pb2.py" in names
    assert not [name for name in names if not name.endswith("_pb2.py")]
    assert len(names) < 80
