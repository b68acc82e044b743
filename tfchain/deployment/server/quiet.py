"""Keeps TensorFlow's own log lines off the server's stderr."""

import contextlib
import faulthandler
import os
import re
import sys
import threading

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_DEFAULTS = {_LEVEL: "3", "GRPC_VERBOSITY": "NONE"}
_MOST_BYTES = 2**20
_NOISE = re.compile(rb"[IWE][0-9]{4} [0-9:.]+ +[0-9]+ |WARNING: All log messages before absl::InitializeLog")


def silence_tensorflow() -> None:
    """Silences the process's C++ libraries; call it once, before TensorFlow is imported.

    TensorFlow has its own log level, but some of its libraries ignore it, so their lines are filtered from stderr.
    Python's own output, other lines and crashes still appear. With `TF_CPP_MIN_LOG_LEVEL` set to 0 or 1, nothing is
    filtered.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if os.environ[_LEVEL] in ("0", "1"):
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    sys.stderr = open(stderr, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    faulthandler.enable(sys.stderr)
    source, sink = os.pipe()
    os.dup2(sink, 2)
    os.close(sink)
    threading.Thread(target=_copy_without_noise, args=(source, stderr), name="stderr", daemon=True).start()


def _copy_without_noise(source: int, stderr: int) -> None:
    with open(source, "rb", buffering=0) as pipe:
        rest = b""
        while piece := pipe.read(65536):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _MOST_BYTES:  # of one line
                lines.append(rest)
                rest = b""
            for line in lines:
                if _NOISE.match(line) is None:
                    _write(stderr, line + b"\n")


def _write(stderr: int, line: bytes) -> None:
    """Writes a line; a full disk loses it, but does not stop the reading, for which all writers would wait."""
    with contextlib.suppress(OSError):
        while line:
            line = line[os.write(stderr, line) :]
