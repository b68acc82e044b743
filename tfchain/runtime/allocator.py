"""TensorFlow's memory on the CPU: kept between steps instead of given back after each."""

import contextlib
import os
from collections.abc import Iterator, MutableMapping

from tfchain.runtime.fork import is_tensorflow_started

SWITCH = "TF_CPU_ALLOCATOR_USE_BFC"
LIMIT = "TF_CPU_BFC_MEM_LIMIT_IN_MB"


def start_tensorflow() -> None:
    """Starts TensorFlow in this process with an allocator that keeps memory, unless it has been started already.

    Call it where tfchain makes the first weights; they would start it, too. It is too late then to choose devices, or
    to make a strategy of several workers. The environment is as it was afterwards.
    """
    if is_tensorflow_started():
        return
    import tensorflow as tf

    with caching_allocator():
        tf.config.list_logical_devices()


@contextlib.contextmanager
def caching_allocator() -> Iterator[None]:
    """Lets TensorFlow, if it starts in this block, take its allocator from `keep_memory_between_steps`.

    TensorFlow reads the switch once, when it makes its devices. Behind the block the environment is as it was, so that
    programs that are started from here do not get the switch.
    """
    if is_tensorflow_started():
        yield
        return
    before = {name: os.environ.get(name) for name in (SWITCH, LIMIT)}
    keep_memory_between_steps(os.environ)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def keep_memory_between_steps(environment: MutableMapping[str, str]) -> None:
    """Asks TensorFlow to take the CPU's memory through its own allocator, as it does a GPU's.

    By default every large tensor is asked of the system and given back to it, and each of its pages is cleared and
    mapped anew in the next step: on a virtual machine that can take as long as the training step itself
    (benchmarks/TRAINING.md). TensorFlow reads the switch when its first op runs; a value that is there already is kept.
    A program sets it for its whole life before TensorFlow starts; a library calls `start_tensorflow`.

    Args:
        environment: `os.environ`; afterwards `TF_CPU_ALLOCATOR_USE_BFC` is `true`, and
            `TF_CPU_BFC_MEM_LIMIT_IN_MB`, which would be 64 GiB, the machine's memory.
    """
    if SWITCH in environment:
        return
    environment[SWITCH] = "true"
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    environment.setdefault(LIMIT, str(megabytes))
