"""TensorFlow's memory on the CPU: kept between steps instead of given back after each."""

import os
from collections.abc import MutableMapping

SWITCH = "TF_CPU_ALLOCATOR_USE_BFC"
LIMIT = "TF_CPU_BFC_MEM_LIMIT_IN_MB"


def keep_memory_between_steps(environment: MutableMapping[str, str]) -> None:
    """Asks TensorFlow to take the CPU's memory through its own allocator, as it does a GPU's.

    By default every large tensor is asked of the system and given back to it, and each of its pages is cleared and
    mapped anew in the next step: on a virtual machine that can take as long as the training step itself
    (benchmarks/TRAINING.md). TensorFlow reads the switch when its first op runs; a value that is there already is kept.

    Args:
        environment: `os.environ`; afterwards `TF_CPU_ALLOCATOR_USE_BFC` is `true`, and
            `TF_CPU_BFC_MEM_LIMIT_IN_MB`, which would be 64 GiB, the machine's memory.
    """
    if SWITCH in environment:
        return
    environment[SWITCH] = "true"
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    environment.setdefault(LIMIT, str(megabytes))
