"""What the embedded server's image is built from: tfchain's source, pinned requirements, protobuf's messages."""

import gzip
import importlib.util
import io
import re
import tarfile
from importlib import resources
from pathlib import Path

import tfchain
from tfchain.core.errors import InputError
from tfchain.deployment.targets.artefact import Artefact

PACKAGE = Path(tfchain.__file__).parent
BUILD_FILES = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
# What no server imports: the rooms above it, and the model that comes with tfchain.
NOT_SERVED = ("cli", "jobs", "optimization", "training", "small_english")
MESSAGES = "tensorflow"
_SERVING = ("tensorflow_serving.apis", "tensorflow_serving.config")
_FIRST = ("tensorflow/core/protobuf/saved_model_pb2.py",)
_IMPORT = re.compile(r"^from (tensorflow[\w.]*) import (\w+_pb2)", re.MULTILINE)


def make_source(source: str | None = None) -> Artefact:
    """Returns tfchain as a source archive, or the wheel or archive that the user names.

    The archive has no times and no owners: the same source gives the same bytes.

    Args:
        source: A wheel or source archive of tfchain. Default: this tfchain, if it runs from a checkout.

    Raises:
        InputError: if there is no such file, or this tfchain was installed without its source.
    """
    if source is not None:
        path = Path(source).expanduser()
        if not path.is_file() or not path.name.endswith((".whl", ".tar.gz")):
            raise InputError(
                f"`source` must be a wheel or a source archive (.tar.gz) of tfchain. Received: source={source!r}.",
                argument="source",
            )
        return Artefact(path.name, path.absolute())
    root = PACKAGE.parent
    missing = [name for name in BUILD_FILES if not (root / name).is_file()]
    if missing:
        raise InputError(
            f"This tfchain was installed without what builds it ({missing[0]} is not in {root}), and an image compiles "
            "the kernels. Name a wheel or a source archive: --set source=tfchain-0.1.0.tar.gz."
        )
    name = f"tfchain-{tfchain.__version__}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in [*(root / name for name in BUILD_FILES), *_list_package()]:
            entry = tarfile.TarInfo(f"{name}/{file.relative_to(root)}")
            entry.size, entry.mode = file.stat().st_size, 0o644
            archive.addfile(entry, io.BytesIO(file.read_bytes()))
    return Artefact(f"{name}.tar.gz", gzip.compress(packed.getvalue(), compresslevel=6, mtime=0))


def read_requirements(name: str) -> str:
    """Returns pinned requirements with hashes.

    Args:
        name: `lean`, `server` or `build`.
    """
    file = resources.files("tfchain.deployment.targets").joinpath("requirements", f"{name}.txt")
    return file.read_text(encoding="utf-8")


def list_messages() -> list[Artefact]:
    """Returns the generated messages of TensorFlow that the server reads, which its package brings along.

    They need protobuf alone. The server reads them without TensorFlow (`tfchain/runtime/tf_protos.py`), so an image
    without TensorFlow gets these 150 KB out of its 600 MB.

    Raises:
        InputError: if TensorFlow is not installed here.
    """
    found = importlib.util.find_spec("tensorflow")
    if found is None or not found.submodule_search_locations:
        raise InputError("TensorFlow is not installed here, and its messages are part of the image. Install tfchain.")
    root = Path(next(iter(found.submodule_search_locations))).parent
    waiting = [root / name for name in _FIRST]
    for package in _SERVING:
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations if spec and spec.submodule_search_locations else ():
            waiting += sorted(Path(folder).glob("*.py"))
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for module, name in _IMPORT.findall(file.read_text(encoding="utf-8")):
            imported = root.joinpath(*module.split("."), f"{name}.py")
            waiting += [imported] if imported.is_file() else []
    ours = sorted(file.relative_to(root) for file in seen if file.is_relative_to(root / MESSAGES))
    return [Artefact(f"messages/{name}", (root / name).read_bytes()) for name in ours]


def _list_package() -> list[Path]:
    """Returns the files of the package that a server may need, sorted."""
    return sorted(
        path
        for path in PACKAGE.rglob("*")
        if path.is_file()
        and path.suffix not in (".pyc", ".so")
        and path.relative_to(PACKAGE).parts[0] not in NOT_SERVED
        and "__pycache__" not in path.parts
    )
