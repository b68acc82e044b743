"""A pool whose process was killed ends."""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from tfchain.runtime.process_pool import shut_down

# Each task is larger than a pipe holds, so that one is being written when the only process goes.
PROGRAM = """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from tfchain.runtime.process_pool import shut_down

def die(text):
    os.kill(os.getpid(), signal.SIGKILL)

pool = ProcessPoolExecutor(1, mp_context=get_context("fork"))
tasks = [pool.submit(die, "x" * 1_000_000) for _ in range(3)]
if sys.argv[1] == "read":
    try:
        tasks[0].result()
    except BrokenProcessPool:
        print("broken")
shut_down(pool)
print("ended")
"""


@pytest.mark.parametrize(("read", "printed"), [("read", "broken\nended\n"), ("unread", "ended\n")])
def test_a_pool_whose_process_was_killed_amid_a_task_shuts_down(read: str, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, read], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == printed


def test_a_pool_that_has_begun_nothing_shuts_down() -> None:
    pool = ProcessPoolExecutor(1)
    shut_down(pool)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(int)
