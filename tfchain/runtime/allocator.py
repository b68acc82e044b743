"""TensorFlow's memory on the CPU: kept between steps instead of returned to the system after each."""

import contextlib
import os
from collections.abc import Iterator, MutableMapping

from tfchain.runtime.fork import is_tensorflow_started

SWITCH = "TF_CPU_ALLOCATOR_USE_BFC"
LIMIT = "TF_CPU_BFC_MEM_LIMIT_IN_MB"


def start_tensorflow() -> None:
    """Starts TensorFlow in this process with an allocator that keeps memory, unless TensorFlow has already started.

    Call it where tfchain makes the first weights, which would start TensorFlow anyway. Afterwards it is too late to
    choose devices or to make a strategy of several workers. The environment variables are left unchanged.
    """
    if is_tensorflow_started():
        return
    import tensorflow as tf

    with caching_allocator():
        tf.config.list_logical_devices()


@contextlib.contextmanager
def caching_allocator() -> Iterator[None]:
    """Sets `keep_memory_between_steps` for the block, so that it applies if TensorFlow starts there.

    TensorFlow reads the switch once, when it makes its devices. The block restores the environment at its end, so that
    programs started later do not inherit the switch.
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
    """Makes TensorFlow manage CPU memory with its own allocator, as it does for GPUs.

    By default, every large tensor is allocated from the system and returned to it, and the system clears and maps its
    pages again in the next step: on a virtual machine, that can take as long as the training step itself
    (benchmarks/TRAINING.md). TensorFlow reads the switch when its first op runs. A program calls this once, before
    TensorFlow starts; a library calls `start_tensorflow`.

    Args:
        environment: `os.environ`. Sets `TF_CPU_ALLOCATOR_USE_BFC` to `true`, and `TF_CPU_BFC_MEM_LIMIT_IN_MB` (64 GiB
            by default) to the machine's memory. Values that are already set stay.
    """
    if SWITCH in environment:
        return
    environment[SWITCH] = "true"
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    environment.setdefault(LIMIT, str(megabytes))
