"""Extracts text from files in a process of its own, which is killed when it takes too long, and replaced."""

import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tfchain.core.errors import InputError, MissingPackageError
from tfchain.data.extraction.extracted import Extracted
from tfchain.data.extraction.worker import LENGTH
from tfchain.data.files.data_file import DataFile
from tfchain.data.files.limits import ReadLimits
from tfchain.runtime.child_process import make_environment, make_python_command

ANSWER_BYTES_PER_CHARACTER = 12  # of JSON at most: an escape of two halves
SPARE_BYTES = 2**20


class Extractor:
    """Turns `.html`, `.pdf`, `.docx`, `.pptx`, `.xlsx` and `.epub` files into Markdown text.

    The libraries that read such files run in another process, with limits of time, memory and output, without
    TensorFlow, the network, or files to write. It is started by the first file and used for all; a file that breaks a
    limit costs that process, and the next file gets a new one. Threads may share an extractor; they take turns.

    Use it in a `with` block, or `close` it.

    Args:
        limits: The limits. Default: `ReadLimits()`.
    """

    def __init__(self, limits: ReadLimits | None = None) -> None:
        self.limits = limits or ReadLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._timed_out = False

    def __enter__(self) -> "Extractor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def extract(self, file: DataFile) -> Extracted:
        """Extracts the text of a file, by the ending of its name.

        Raises:
            InputError: if the file cannot be read, is damaged, or breaks a limit.
            MissingPackageError: if the library for such files is not installed.
        """
        data = file.read(self.limits)
        header = {"ending": file.ending, "size": len(data), "limits": asdict(self.limits)}
        with self._turn:
            answer = self._ask(file.label, json.dumps(header).encode(), data)
        if "missing" in answer:
            raise MissingPackageError(f"{file}: {answer['missing']}")
        if "error" in answer:
            raise InputError(f"{file}: {answer['error']}")
        return Extracted(answer["text"], answer["title"], answer["page_starts"])

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)

    def _ask(self, label: str, header: bytes, data: bytes) -> Mapping[str, Any]:
        """Sends a file to the process, and returns its answer; kills it at the time limit."""
        process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        self._timed_out = False
        timer = threading.Timer(self.limits.seconds, self._kill, [process])
        timer.daemon = True
        timer.start()
        most = self.limits.characters * ANSWER_BYTES_PER_CHARACTER + SPARE_BYTES
        try:
            for part in (LENGTH.pack(len(header)), header, data):
                process.stdin.write(part)
            process.stdin.flush()
            head = process.stdout.read(LENGTH.size)
            if len(head) < LENGTH.size:
                raise EOFError
            (size,) = LENGTH.unpack(head)
            body = process.stdout.read(min(size, most))
            if len(body) < size:
                raise EOFError
            found: dict[str, Any] = json.loads(body)
            return found
        except (OSError, EOFError, ValueError) as error:
            timer.cancel()
            raise self._lost(label) from error
        except BaseException:  # Ctrl-C leaves an answer in the pipe, which the next file must not get
            process.kill()
            self.close()
            raise
        finally:
            timer.cancel()

    def _start(self) -> "subprocess.Popen[bytes]":
        """Returns the process; starts one if there is none."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                make_python_command("-m", "tfchain.data.extraction.worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=make_environment(),
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        return self._process

    def _kill(self, process: "subprocess.Popen[bytes]") -> None:
        self._timed_out = True
        process.kill()

    def _lost(self, label: str) -> InputError:
        """Cleans up after a process that has not answered, and returns the error that says why."""
        process = self._process
        assert process is not None
        process.kill()
        code = process.wait(timeout=10)
        self.close()
        if self._timed_out:
            return InputError(
                f"{label}: no text after {self.limits.seconds:g} seconds. Expected less; its process was killed. Leave "
                "the file out, or raise `seconds` of the limits."
            )
        ended = signal.Signals(-code).name if code < 0 else f"code {code}"
        return InputError(
            f"{label}: the process that reads it ended ({ended}). Expected a file that does not crash its library. "
            "Leave the file out, or save it again."
        )
