"""Processor time and memory of a tree of processes, read from a folder like /proc, and of this process."""

import os
from pathlib import Path

import pytest

from tfchain.deployment.capacity.server_process import ServerProcess, describe_processor, machine_memory_mb


def add_process(proc: Path, pid: int, *, children: str, ticks: tuple[int, int], resident: int, peak: int) -> None:
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True)
    (folder / "task" / str(pid) / "children").write_text(children)
    before = " ".join(["S", *["0"] * 10])
    (folder / "stat").write_text(f"{pid} (a (bad) name) {before} {ticks[0]} {ticks[1]} 0 0")
    (folder / "status").write_text(f"Name:\tx\nVmHWM:\t {peak} kB\nVmRSS:\t {resident} kB\n")


def test_children_and_their_children_are_counted(tmp_path: Path) -> None:
    hertz = os.sysconf("SC_CLK_TCK")
    add_process(tmp_path, 10, children="11 12 ", ticks=(hertz, hertz), resident=1000, peak=2000)
    add_process(tmp_path, 11, children="13", ticks=(hertz, 0), resident=500, peak=600)
    add_process(tmp_path, 13, children="", ticks=(0, hertz), resident=500, peak=400)

    process = ServerProcess(10, tmp_path)  # 12 has ended meanwhile

    assert process.processor_seconds() == 4.0
    assert process.memory_mb() == pytest.approx(2000 * 1024 / 1e6)
    assert process.peak_memory_mb() == pytest.approx(3000 * 1024 / 1e6)


def test_a_process_that_is_gone_has_nothing(tmp_path: Path) -> None:
    process = ServerProcess(10, tmp_path)

    assert (process.processor_seconds(), process.memory_mb(), process.peak_memory_mb()) == (0, 0, 0)


def test_this_process_holds_something() -> None:
    process = ServerProcess(os.getpid())

    assert 10 < process.memory_mb() <= process.peak_memory_mb() < machine_memory_mb()
    assert process.processor_seconds() > 0


def test_the_processor_is_named_with_its_instructions(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: A CPU\nflags\t\t: sse avx2 avx512_vnni\n")

    assert describe_processor(tmp_path / "cpuinfo") == "A CPU (avx2 avx512_vnni)"
    assert describe_processor(tmp_path / "gone") == "unknown processor"
