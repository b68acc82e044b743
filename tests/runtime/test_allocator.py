"""TensorFlow's caching allocator is asked for where nothing else is."""

import os
import subprocess
import sys

import pytest

from tests.forked import ForkServer
from tfchain.runtime.allocator import LIMIT, SWITCH, caching_allocator, keep_memory_between_steps

PROGRAM = """
import os, resource, sys
import tensorflow as tf
import tfchain.chains.search
from tfchain.runtime.allocator import start_tensorflow
from tfchain.runtime.fork import is_tensorflow_started
before = dict(os.environ)
assert not is_tensorflow_started()
start_tensorflow()
assert is_tensorflow_started()
assert dict(os.environ) == before
def add():
    return float(tf.reduce_sum(tf.ones([64, 1024, 1024]) + 1.0))
add()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
add()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def count_page_faults(**variables: str) -> int:
    """Page faults of 512 MB of tensors that are made a second time."""
    environment = {name: value for name, value in os.environ.items() if name not in (SWITCH, LIMIT)} | variables
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_sets_what_is_not_set() -> None:
    environment: dict[str, str] = {}
    keep_memory_between_steps(environment)

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert environment[SWITCH] == "true"
    assert abs(int(environment[LIMIT]) * 2**20 - total) <= 2**20


def test_keeps_what_is_set() -> None:
    off, limited = {SWITCH: "false"}, {LIMIT: "1000"}
    keep_memory_between_steps(off)
    keep_memory_between_steps(limited)

    assert off == {SWITCH: "false"}
    assert limited == {LIMIT: "1000", SWITCH: "true"}


def test_the_switch_is_set_while_tensorflow_starts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfchain.runtime.allocator.is_tensorflow_started", lambda: False)
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv(LIMIT, "1000")
    with caching_allocator():
        assert (os.environ[SWITCH], os.environ[LIMIT]) == ("true", "1000")
    assert SWITCH not in os.environ
    assert os.environ[LIMIT] == "1000"


def test_importing_tfchain_sets_no_environment_variable() -> None:
    code = """if True:
        import os
        before = dict(os.environ)
        import tfchain
        assert dict(os.environ) == before
        for name in tfchain.__all__:
            getattr(tfchain, name)
        print(sorted(set(os.environ) - set(before)))
    """
    environment = {name: value for name, value in os.environ.items() if name not in (SWITCH, LIMIT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[")
    assert SWITCH not in done.stdout  # TensorFlow and transformers may have set their own
    assert LIMIT not in done.stdout


def test_memory_is_mapped_once_where_tfchain_starts_tensorflow(fork_server: ForkServer) -> None:
    pages = 512 * 2**20 // os.sysconf("SC_PAGE_SIZE")

    with fork_server.replaces_processes():  # the switch is read where TensorFlow starts
        assert count_page_faults() < pages / 10
    # Where oneDNN is on (as it is by default on processors with VNNI), its own allocator keeps memory anyway.
    assert count_page_faults(**{SWITCH: "false", "TF_ENABLE_ONEDNN_OPTS": "0"}) > pages / 2
