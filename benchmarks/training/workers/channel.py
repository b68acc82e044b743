"""The two ends of a worker's pipe: requests come in as JSON lines, answers go out as such."""

import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Channel:
    """Make it first of all: from then on whatever a library prints goes to the log, not between the answers."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def receive(self) -> dict[str, Any] | None:
        """The next request; None when there will be no more."""
        line = sys.stdin.readline()
        return json.loads(line) if line else None

    def answer(self, values: Mapping[str, Any]) -> None:
        """Answers the last request."""
        self._answers.write(json.dumps(values) + "\n")
        self._answers.flush()

    def serve(self, works: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
        """Carries out requests by their `do` until the input ends."""
        while (request := self.receive()) is not None:
            self.answer(works[request.pop("do")](**request))


def peak_memory() -> float:
    """The most memory this process has held, in megabytes.

    Linux' `ru_maxrss` also counts what the parent held before `exec`; `VmHWM` does not.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def versions_of(*packages: str) -> dict[str, str]:
    """The installed versions."""
    return {package: importlib.metadata.version(package) for package in packages}


def read_pairs_file(path: str) -> list[tuple[str, str]]:
    """Queries and documents of a .jsonl file."""
    rows = map(json.loads, Path(path).read_text(encoding="utf-8").splitlines())
    return [(row["query"], row["document"]) for row in rows]
