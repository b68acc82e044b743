"""Forks in place of processes: what a program sees, and what its parent sees of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("forks")

SHOW = "import os, sys; print(sys.argv, os.getcwd(), os.environ.get('A'), os.getppid(), os.getsid(0) == os.getpid())"


def test_a_fork_has_its_arguments_folder_environment_session_and_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SHOW, "x", "y z"]
    options = {"capture_output": True, "text": True, "check": True}
    there = subprocess.run(command, cwd=tmp_path, env={**os.environ, "A": "b"}, start_new_session=True, **options)
    assert there.stdout == f"['-c', 'x', 'y z'] {tmp_path} b {os.getpid()} True\n"
    here = subprocess.run(command, **options)
    assert here.stdout == f"['-c', 'x', 'y z'] {os.getcwd()} None {os.getpid()} False\n"


def test_tensorflow_is_imported_and_unused_and_computes(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nassert 'tensorflow' in sys.modules\n"
        "from tfchain.runtime.fork import is_tensorflow_started\nassert not is_tensorflow_started()\n"
        "import beside, tensorflow as tf\n"
        "if __name__ == '__main__': print(int(tf.reduce_sum(tf.ones([2, 3]))), beside.VALUE, sys.stdin.read())\n"
    )
    (tmp_path / "beside.py").write_text("VALUE = 5\n")
    done = subprocess.run([sys.executable, str(program)], input="asked", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6 5 asked\n", "")


@pytest.mark.parametrize(
    ("code", "returncode", "said"),
    [
        ("import atexit; atexit.register(print, 'last', flush=True); print('first')", 0, ""),
        ("import sys; print('first'); print('last'); sys.exit(3)", 3, ""),
        ("import sys; print('first'); print('last'); sys.exit('a reason')", 1, "a reason"),
        ("print('first'); print('last'); 1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("import os, signal; print('first'); print('last', flush=True); os.kill(os.getpid(), 9)", -9, ""),
        ("import os, signal; print('first'); print('last'); os.kill(os.getpid(), 2)", -signal.SIGINT, "Interrupt"),
        ("import subprocess, sys; print('first', flush=True);"
         "subprocess.run([sys.executable, '-c', 'print(\\'last\\'); 1 / 0'])", 0, "division by zero"),
    ],
    ids=["return", "number", "reason", "error", "killed", "interrupted", "of its own"],
)  # fmt: skip
def test_a_fork_ends_as_a_process_does(code: str, returncode: int, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (returncode, "first\nlast\n")
    assert done.stderr.rstrip("\n").endswith(said)


def test_other_programs_and_options_of_python_are_not_forked() -> None:
    assert subprocess.run(["sh", "-c", "exit 4"], check=False).returncode == 4
    with pytest.raises(ValueError, match="A fork cannot be given an option of Python's. Received: -S"):
        subprocess.run([sys.executable, "-S", "-c", ""], check=False)
