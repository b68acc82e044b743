"""The filter between the process's standard error and where it really goes."""

import os
import threading
from pathlib import Path

from tfchain.deployment.server.quiet import _copy_without_noise


def copy(pieces: list[bytes], target: int) -> None:
    """Writes pieces to a filter, and waits until it has passed them on."""
    source, sink = os.pipe()
    thread = threading.Thread(target=_copy_without_noise, args=(source, target), daemon=True)
    thread.start()
    for piece in pieces:
        os.write(sink, piece)  # which would wait without end if nobody read
    os.close(sink)
    thread.join(10)
    assert not thread.is_alive()


def test_noise_is_left_out_and_all_else_passed_on(tmp_path: Path) -> None:
    with open(tmp_path / "stderr", "wb") as file:
        copy(
            [b"I0000 00:00:1795929120.362494    7827 port.cc:153] noise\nerr", b"or\n" + b"x" * 3_000_000, b"\n"],
            file.fileno(),
        )
    assert (tmp_path / "stderr").read_bytes().replace(b"\n", b"") == b"error" + b"x" * 3_000_000


def test_a_full_disk_stops_nobody_who_writes() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    copy([b"a line\n" * 5000] * 20, full)  # ten times as much as the pipe holds
    os.close(full)
