"""The kernels' library: where it is found, and what its threads and its memory do."""

import _ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import TfchainError
from tfchain.models import native_library as native

needs_kernels = pytest.mark.skipif(native.find_obstacle() is not None, reason=str(native.find_obstacle()))

# No TensorFlow in these processes: it has threads of its own, which a forked process cannot go on with.
WEIGHTS = """
import numpy as np
from tfchain.models.native_library import NativeModel
from tfchain.models.native_weights import Layer, LayerShape, Product, Weights
random = np.random.default_rng(0)
def product(outputs, inputs):
    weights = random.integers(-127, 128, (outputs, inputs)).astype("int8")
    return Product(weights, np.full(outputs, 1e-3, "float32"), np.zeros(outputs, "float32"))
norm = np.array([np.ones(64), np.zeros(64)], "float32")
norms = {"attention": norm, "feed_forward": norm}
layer = Layer(product(192, 64), product(64, 64), product(96, 64), product(64, 96), norms)
weights = Weights(
    [(random.integers(-127, 128, (50, 64)).astype("int8"), np.full(50, 0.01, "float32"))], (50, 64),
    np.zeros((99, 64), "float32"),
    None, norm, [LayerShape(4, 16, 96)] * 2, [layer] * 2, "gelu", 1e-12, 99, None, True,
)
ids, starts = np.arange(40, dtype="int32"), np.array([0, 13, 40], "int32")
pooling = np.full((1, 40), 0.05, "float32")
"""


def run(script: str) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-c", WEIGHTS + script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_kernels
def test_a_forked_process_computes_with_threads_of_its_own() -> None:
    script = """
import os, threading
model = NativeModel(weights)
expected = model(ids, starts, pooling, num_threads=4)
many = np.tile(ids, 40), np.arange(0, 1601, 20, dtype="int32"), np.tile(pooling, 40)  # phases of many units
go_on = True
def keep_busy():
    while go_on:
        model(*many, num_threads=4)
busy = [threading.Thread(target=keep_busy) for _ in range(len(os.sched_getaffinity(0)) + 2)]
for thread in busy:
    thread.start()  # forks happen in the middle of their calls, and while some wait for their turn
for _ in range(20):
    child = os.fork()
    if not child:
        right = all((model(ids, starts, pooling, num_threads=4) == expected).all() for _ in range(50))
        os._exit(0 if right and len(os.listdir("/proc/self/task")) == 4 else 1)
    assert os.waitpid(child, 0)[1] == 0
go_on = False
for thread in busy:
    thread.join()
print("done")
"""
    assert run(script) == "done\n"


@needs_kernels
def test_calls_of_many_threads_take_turns_and_give_the_same_vectors() -> None:
    script = """
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])  # before the first call: one call at a time
from concurrent.futures import ThreadPoolExecutor
model = NativeModel(weights)
expected = model(ids, starts, pooling)
def call(number):
    return (model(ids, starts, pooling, num_threads=1 + number % 3) == expected).all()
with ThreadPoolExecutor(40) as threads:
    print(all(threads.map(call, range(4000))))
"""
    assert run(script) == "True\n"


@needs_kernels
@pytest.mark.parametrize("count", [1, 7, 64, 1000])
def test_the_best_scores_are_those_that_sorting_finds(count: int) -> None:
    random = np.random.default_rng(count)
    for scores in (random.standard_normal(count), random.integers(-3, 4, count), np.arange(count), np.zeros(count)):
        row = scores.astype("float32")
        for top_k in {1, min(10, count), min(native.MOST_BEST, count)}:
            found = native.find_best(row, top_k)
            assert found is not None
            assert found.tolist() == sorted(range(count), key=lambda place: (-row[place], place))[:top_k]


@needs_kernels
@pytest.mark.parametrize(
    ("scores", "top_k"),
    [
        (np.array([1, np.nan], "float32"), 2),
        (np.array([1], "float32"), 2),
        (np.ones(100, "float32"), native.MOST_BEST + 1),
        (np.ones(4), 2),
        (np.ones(4, "float32")[::2], 2),
    ],
    ids=["not a number", "too few", "too many hits", "float64", "not contiguous"],
)
def test_what_the_library_does_not_look_through_is_left_to_numpy(scores: np.ndarray, top_k: int) -> None:
    assert native.find_best(scores, top_k) is None


@needs_kernels
def test_a_model_that_nobody_has_any_more_gives_its_memory_back() -> None:
    script = """
import dataclasses, gc, resource
def used():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
tokens = np.ones((65_536, 64), "int8"), np.ones(65_536, "float32")
large = dataclasses.replace(weights, tokens=[tokens], token_shape=(65_536, 64))
for number in range(70):
    NativeModel(large)(ids, starts, pooling, num_threads=2)
    gc.collect()
    if number == 9:
        before = used()
print(used() - before < 50)  # 60 models of 4 MiB and more are 250
"""
    assert run(script) == "True\n"


@needs_kernels
@pytest.mark.parametrize(
    ("rows", "scales", "message"),
    [
        ((49, 64), 49, "must have 50 rows. Received: 49"),
        ((51, 64), 51, "must have 50 rows of 64 numbers.* Received: from row 0 on numbers of shape \\(51, 64\\)"),
        ((50, 32), 50, "numbers of shape \\(50, 32\\)"),
        ((50, 64), 49, "scales of shape \\(49,\\)"),
    ],
)
def test_tokens_of_another_shape_are_refused(rows: tuple[int, int], scales: int, message: str) -> None:
    script = f"""
import dataclasses
tokens = np.ones({rows}, "int8"), np.ones({scales}, "float32")
try:
    NativeModel(dataclasses.replace(weights, tokens=[tokens]))
except ValueError as error:
    print(error)
"""
    assert re.search(message, run(script))


@needs_kernels
@pytest.mark.parametrize(("layers", "received"), [(1, "1"), (3, "more")])
def test_another_number_of_layers_is_refused(layers: int, received: str) -> None:
    script = f"""
import dataclasses
try:
    NativeModel(dataclasses.replace(weights, layers=[layer] * {layers}))
except ValueError as error:
    print(error)
"""
    assert f"a layer for each of 2 shapes. Received: {received}." in run(script)


@needs_kernels
def test_helpers_leave_signals_to_the_program() -> None:
    script = """
import os
NativeModel(weights)(ids, starts, pooling, num_threads=3)
for task in os.listdir("/proc/self/task"):
    lines = dict(line.split(":", 1) for line in open(f"/proc/self/task/{task}/status"))
    print(lines["Name"].strip() == "tfchain-help", bool(int(lines["SigBlk"], 16) >> 1 & 1))  # SIGINT is 2
"""
    lines = run(script).splitlines()
    assert lines.count("True True") == 2
    assert set(lines) == {"True True", "False False"}


def test_where_there_is_no_library_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_find_library", lambda: None)
    assert "they could not be compiled (by GCC, for x86-64 Linux)" in str(native.find_obstacle.__wrapped__())
    monkeypatch.setattr(native, "find_obstacle", native.find_obstacle.__wrapped__)
    with pytest.raises(TfchainError, match="cannot run here: tfchain was installed without them.*engine='litert'"):
        native.NativeModel(None)  # type: ignore[arg-type]


def open_library(monkeypatch: pytest.MonkeyPatch, path: Path) -> str | None:
    """What `find_obstacle` says of a library."""
    monkeypatch.setattr(native, "_find_library", lambda: path)
    monkeypatch.setattr(native, "load_library", native.load_library.__wrapped__)
    return native.find_obstacle.__wrapped__()


@pytest.mark.parametrize("content", [b"no library", None])
def test_a_library_that_is_none_of_these_is_an_obstacle(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.so"
    if content is None:
        path = Path(_ctypes.__file__)  # a library of other functions
    else:
        path.write_bytes(content)
    assert f"{path.name} cannot be loaded" in str(open_library(monkeypatch, path))


@needs_kernels
def test_a_library_of_another_version_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "VERSION", native.VERSION + 1)
    path = native._find_library()
    assert path is not None
    assert "belongs to another version of tfchain; install it again" in str(open_library(monkeypatch, path))


def test_on_another_processor_the_library_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc")
    sources = sorted((Path(native.__file__).parent / "engines" / "kernels").glob("*.c"))
    flags = ["-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-U__x86_64__", "-U__linux__"]
    subprocess.run([compiler, *flags, *sources, "-o", tmp_path / "other.so"], check=True, timeout=120)
    assert "the processor has no AVX-512 VNNI" in str(open_library(monkeypatch, tmp_path / "other.so"))


@needs_kernels
def test_arrays_that_do_not_go_together_are_refused_before_they_are_read() -> None:
    script = """
model = NativeModel(weights)
expected = model(ids, starts, pooling)
for wrong in (
    (ids, starts + 1, pooling), (ids, starts[:-1], pooling), (ids, starts[:0], pooling), (ids, starts, pooling[:, 1:]),
    (ids[1:], starts, pooling), (ids, starts, pooling[0]),
):
    try:
        model(*wrong)
        print("taken")
    except ValueError as error:
        assert "`pooling` have a column per token. Received: starts=" in str(error), error
both = np.concatenate([pooling, 2 * pooling])
found = model(ids.astype("int64"), starts.astype("int64"), np.asfortranarray(both))
assert (found == model(ids, starts, both)).all()
assert (model(ids, starts, pooling, num_threads=0) == expected).all()
assert (model(ids, starts, pooling, num_threads=-3) == expected).all()
assert model(ids[:0], starts[:1], pooling[:, :0]).shape == (0, 64)
print("done")
"""
    assert run(script) == "done\n"


@needs_kernels
def test_a_thread_that_nobody_waits_for_may_compute_when_the_process_ends() -> None:
    script = """
import threading, time
model = NativeModel(weights)
def go_on():
    while True:
        model(ids, starts, pooling, num_threads=2)
threading.Thread(target=go_on, daemon=True).start()
time.sleep(0.3)
print("ends")
"""
    for _ in range(3):
        assert run(script) == "ends\n"
