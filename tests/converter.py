"""LiteRT's converter in one process for all tests of a run: the first conversion takes seconds more than the others."""

import json
import subprocess
from pathlib import Path

from tests.forked import ForkServer
from tfchain.models.engines import litert_conversion
from tfchain.runtime.child_process import make_environment, make_python_command

LARGE = 20_000_000  # bytes of weights; what a conversion takes is not freed
PROGRAM = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # native log lines
from tfchain.models.engines.litert_conversion import convert_folder, explain
for line in sys.stdin:
    try:
        convert_folder(*json.loads(line))
        reason = None
    except Exception as error:
        reason = f"LiteRT cannot run this encoder: {explain(error)}."
    print(json.dumps(reason), file=answers, flush=True)
"""


class Converter:
    """Does what `run_converter` does, in a process that stays, forked by the server."""

    def __init__(self, fork_server: ForkServer) -> None:
        self.fork_server = fork_server
        self.process: subprocess.Popen[str] | None = None
        self.run_alone = litert_conversion.run_converter

    def __call__(self, source: Path, target: Path, precision: str) -> str | None:
        if sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) > LARGE:
            return self.run_alone(source, target, precision)
        if self.process is None or self.process.poll() is not None:
            self.process = self.fork_server.Popen(
                make_python_command("-c", PROGRAM),
                env=make_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(source), str(target), precision]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        reason: str | None = json.loads(answer) if answer else "LiteRT cannot run this encoder: the converter crashed."
        return reason

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
