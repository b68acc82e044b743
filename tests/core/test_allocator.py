"""TensorFlow's caching allocator is asked for where nothing else is."""

import os
import subprocess
import sys

from tfchain.core.allocator import LIMIT, SWITCH, keep_memory_between_steps

PROGRAM = """
import tfchain, resource
import tensorflow as tf
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


def test_memory_is_mapped_once_where_tfchain_is_imported() -> None:
    pages = 512 * 2**20 // os.sysconf("SC_PAGE_SIZE")

    assert count_page_faults() < pages / 10
    # Where oneDNN is on (as it is by default on processors with VNNI), its own allocator keeps memory anyway.
    assert count_page_faults(**{SWITCH: "false", "TF_ENABLE_ONEDNN_OPTS": "0"}) > pages / 2
