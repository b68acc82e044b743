"""A pool whose process was killed ends."""

import subprocess
import sys

# Each task is larger than a pipe holds, so that one is being written when the only process goes.
PROGRAM = """
import os, signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from tfchain.runtime.process_pool import let_go

def die(text):
    os.kill(os.getpid(), signal.SIGKILL)

with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
    tasks = [pool.submit(die, "x" * 1_000_000) for _ in range(3)]
    try:
        tasks[0].result()
    except BrokenProcessPool:
        let_go(pool)
print("ended")
"""


def test_a_pool_whose_process_was_killed_amid_a_task_shuts_down() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "ended\n"
