"""Local workers: their environment, their merged lines, and that none is left however they end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.jobs.local import Outcome, find_free_ports, make_environments, run_workers

Lines = list[tuple[int, str, bool]]
DEADLINE_SECONDS = 10.0

# What the workers run: Python without the packages of site-packages, so that it starts quickly.
PYTHON = (sys.executable, "-S", "-s", "-c")
SET_UP = """
import json, os, signal, subprocess, sys, time
number = json.loads(os.environ["TF_CONFIG"])["task"]["index"] if "TF_CONFIG" in os.environ else 0
def write_pid(name):
    with open(os.path.join(os.environ["PLACE"], name + ".part"), "w") as file:
        file.write(str(os.getpid()))
    os.rename(file.name, file.name[:-5])
def wait_for_file(name):
    for _ in range(1000):
        if os.path.exists(os.path.join(os.environ["PLACE"], name)):
            return
        time.sleep(0.01)
    sys.exit(f"waited in vain for {name}")
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the workers know."""
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    return tmp_path


def run(program: str, workers: int = 2, *, grace_seconds: float = 5.0) -> tuple[Outcome, Lines]:
    lines: Lines = []
    outcome = run_workers(
        [*PYTHON, SET_UP + program], workers, lambda *line: lines.append(line), grace_seconds=grace_seconds
    )
    return outcome, lines


def is_running(pid: int) -> bool:
    """Whether a process is there, a zombie counts."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def wait_until_gone(pid: int) -> None:
    """For processes whose parent is not this one: the system ends them in its own time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while is_running(pid) and Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z":
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_each_worker_has_its_own_tf_config() -> None:
    outcome, lines = run("print(os.environ['TF_CONFIG'])", 3)

    assert outcome == Outcome(0, None)
    configs = {number: json.loads(line) for number, line, _ in lines}
    assert sorted(configs) == [0, 1, 2]
    hosts = configs[0]["cluster"]["worker"]
    assert len(set(hosts)) == 3
    assert all(host.startswith("127.0.0.1:") for host in hosts)
    for number, config in configs.items():
        assert config == {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": number}}


def test_one_worker_alone_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "left from before")

    assert run("print('TF_CONFIG' in os.environ)", 1)[1] == [(0, "False", False)]


def test_lines_come_whole_and_with_their_stream() -> None:
    program = r"""
sys.stdout.write(f"first of {number}\nsecond")
sys.stdout.flush()
time.sleep(0.05)
sys.stdout.write(f" of {number}\n10 %\r20 %\r30 %\nwindows\r\n")
sys.stderr.write("warning")
"""
    outcome, lines = run(program)

    assert outcome == Outcome()
    for worker in (0, 1):
        shown = [line for number, line, is_error in lines if number == worker and not is_error]
        assert shown == [f"first of {worker}", f"second of {worker}", "30 %", "windows"]
        assert [line for number, line, is_error in lines if number == worker and is_error] == ["warning"]


def test_lines_are_shown_while_the_workers_run() -> None:
    seen: Lines = []

    def show(number: int, line: str, is_error: bool) -> None:
        seen.append((number, line, is_error))
        Path(os.environ["PLACE"], f"seen-{number}").touch()

    outcome = run_workers([*PYTHON, SET_UP + "print('a'); wait_for_file(f'seen-{number}'); print('b')"], 2, show)

    assert outcome == Outcome()
    assert sorted(seen) == [(0, "a", False), (0, "b", False), (1, "a", False), (1, "b", False)]


def test_much_output_is_neither_lost_nor_stops_a_worker() -> None:
    outcome, lines = run("[print(number, 'x' * 200, line) for line in range(3000)]")

    assert outcome == Outcome()
    assert [line for number, line, _ in lines if number == 1] == [f"1 {'x' * 200} {line}" for line in range(3000)]


def test_when_one_fails_the_others_are_ended(place: Path) -> None:
    program = """
if number == 0:
    write_pid("other")
    time.sleep(60)
wait_for_file("other")
print("cannot go on", file=sys.stderr)
sys.exit(3)
"""
    start = time.monotonic()
    outcome, lines = run(program)

    assert outcome == Outcome(3, 1)
    assert (1, "cannot go on", True) in lines
    assert not is_running(int((place / "other").read_text()))
    assert time.monotonic() - start < DEADLINE_SECONDS


def test_a_worker_that_is_killed_has_failed() -> None:
    outcome, _ = run("os.kill(os.getpid(), signal.SIGKILL) if number == 1 else time.sleep(60)")

    assert outcome == Outcome(128 + 9, 1)


def test_a_worker_that_does_not_end_when_told_is_killed_after_its_grace(place: Path) -> None:
    program = """
if number == 0:
    signal.signal(signal.SIGTERM, lambda *_: print("not yet", flush=True))
    write_pid("stubborn")
    while True:
        time.sleep(1)
wait_for_file("stubborn")
sys.exit(4)
"""
    start = time.monotonic()
    outcome, lines = run(program, grace_seconds=0.3)

    assert outcome == Outcome(4, 1)
    assert (0, "not yet", False) in lines  # it had its time, and was heard
    assert not is_running(int((place / "stubborn").read_text()))
    assert 0.3 <= time.monotonic() - start < DEADLINE_SECONDS


def test_what_a_worker_has_started_is_ended_with_it(place: Path) -> None:
    program = f"""
child = subprocess.Popen([{sys.executable!r}, "-S", "-c", "import time; time.sleep(60)"])
with open(os.path.join(os.environ["PLACE"], "child"), "w") as file:
    file.write(str(child.pid))
sys.exit(5)
"""
    start = time.monotonic()
    outcome, _ = run(program, 1)

    assert outcome == Outcome(5, 0)
    wait_until_gone(int((place / "child").read_text()))
    assert time.monotonic() - start < DEADLINE_SECONDS


def test_a_line_that_cannot_be_shown_ends_all(place: Path) -> None:
    def show(number: int, line: str, is_error: bool) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_workers([*PYTHON, SET_UP + "write_pid(f'pid-{number}'); print('a'); time.sleep(60)"], 2, show)

    pids = [int(path.read_text()) for path in place.glob("pid-?")]
    assert pids
    assert not any(map(is_running, pids))


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        run_workers(["/no/such/program"], 2, lambda *line: None)


@contextlib.contextmanager
def start_launcher(place: Path) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A launcher as a process of its own, with two workers that would sleep for long; and their process numbers."""
    program = f"""
from tfchain.jobs.local import run_workers
worker = {SET_UP + "write_pid(f'pid-{number}'); time.sleep(60)"!r}
run_workers([*{PYTHON!r}, worker], 2, print, grace_seconds=5)
"""
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as launcher:
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while len(list(place.glob("pid-?"))) < 2:
                assert time.monotonic() < deadline
                assert launcher.poll() is None
                time.sleep(0.02)
            yield launcher, [int(path.read_text()) for path in place.glob("pid-?")]
        finally:
            launcher.kill()


def test_ctrl_c_ends_all_workers(place: Path) -> None:
    with start_launcher(place) as (launcher, pids):
        launcher.send_signal(signal.SIGINT)
        _, said = launcher.communicate(timeout=DEADLINE_SECONDS)

    assert said.rstrip().endswith("KeyboardInterrupt")
    assert not any(map(is_running, pids))


def test_a_launcher_that_is_killed_takes_its_workers_along(place: Path) -> None:
    with start_launcher(place) as (launcher, pids):
        launcher.kill()
        launcher.wait(DEADLINE_SECONDS)
        for pid in pids:
            wait_until_gone(pid)


def test_the_gpus_are_divided_among_the_workers() -> None:
    plain = [one["CUDA_VISIBLE_DEVICES"] for one in make_environments({}, 2, 2)]
    named = [one["CUDA_VISIBLE_DEVICES"] for one in make_environments({"CUDA_VISIBLE_DEVICES": "7,3,5"}, 3, 1)]

    assert plain == ["0,1", "2,3"]
    assert named == ["7", "3", "5"]
    assert make_environments({}, 1, 0)[0]["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in make_environments({}, 1, None)[0]
    with pytest.raises(
        InputError, match="2 workers with 2 GPUs each need 4. Received: 3 in CUDA_VISIBLE_DEVICES=7,3,5"
    ):
        make_environments({"CUDA_VISIBLE_DEVICES": "7,3,5"}, 2, 2)


def test_free_ports_differ() -> None:
    assert len(set(find_free_ports(20))) == 20


def test_there_is_at_least_one_worker() -> None:
    with pytest.raises(InputError, match="`num_workers` must be a whole number of at least 1"):
        run_workers(["true"], 0, lambda *line: None)
