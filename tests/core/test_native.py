"""The kernels' library: where it is found, and what its threads and its memory do."""

import subprocess
import sys
from pathlib import Path

import pytest

from tfchain.core import native
from tfchain.core.errors import TfchainError

needs_kernels = pytest.mark.skipif(native.find_obstacle() is not None, reason=str(native.find_obstacle()))

# No TensorFlow in these processes: it has threads of its own, which a forked process cannot go on with.
WEIGHTS = """
import numpy as np
from tfchain.core.native import Layer, NativeModel, Product, Weights
random = np.random.default_rng(0)
def product(outputs, inputs):
    weights = random.integers(-127, 128, (outputs, inputs)).astype("int8")
    return Product(weights, np.full(outputs, 1e-3, "float32"), np.zeros(outputs, "float32"))
norms = np.array([np.ones(64), np.zeros(64)] * 2, "float32")
layer = Layer(4, 16, product(192, 64), product(64, 64), product(96, 64), product(64, 96), norms)
weights = Weights(
    random.integers(-127, 128, (50, 64)).astype("int8"), np.full(50, 0.01, "float32"), np.zeros((99, 64), "float32"),
    None, norms[:2], [layer] * 2, "gelu", 1e-12, None, True,
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
go_on = True
def keep_busy():
    while go_on:
        model(ids, starts, pooling, num_threads=4)
thread = threading.Thread(target=keep_busy)
thread.start()  # forks happen in the middle of its calls
for _ in range(20):
    child = os.fork()
    if not child:
        right = all((model(ids, starts, pooling, num_threads=4) == expected).all() for _ in range(50))
        os._exit(0 if right and os.listdir("/proc/self/task").__len__() == 4 else 1)
    assert os.waitpid(child, 0)[1] == 0
go_on = False
thread.join()
print("done")
"""
    assert run(script) == "done\n"


@needs_kernels
def test_a_model_that_nobody_has_any_more_gives_its_memory_back() -> None:
    script = """
import gc, resource
def used():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
for number in range(130):
    NativeModel(weights)(ids, starts, pooling, num_threads=2)
    gc.collect()
    if number == 9:
        before = used()
print(used() - before < 100)  # 120 models of 4 MiB and their buffers are 500
"""
    assert run(script) == "True\n"


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
    assert "no C compiler for x86-64 Linux was there" in str(native.find_obstacle.__wrapped__())
    monkeypatch.setattr(native, "find_obstacle", native.find_obstacle.__wrapped__)
    with pytest.raises(TfchainError, match="cannot run here: tfchain was installed without them.*engine='litert'"):
        native.NativeModel(None)  # type: ignore[arg-type]


def test_a_damaged_library_is_an_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "damaged.so").write_bytes(b"no library")
    monkeypatch.setattr(native, "_find_library", lambda: tmp_path / "damaged.so")
    monkeypatch.setattr(native, "_load", native._load.__wrapped__)
    assert "damaged.so does not load" in str(native.find_obstacle.__wrapped__())
