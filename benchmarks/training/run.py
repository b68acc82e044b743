"""Measures training: `make bench-train`, or `python benchmarks/training/run.py --help`.

Quality, speed and memory beside sentence-transformers' trainer, and a Chinese encoder from nothing beside BM25; one
after the other, each in a process of its own. A whole run takes about an hour and a half on two cores and writes
benchmarks/TRAINING.md; a part of it, or a quick one, is printed only.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import HERE, quiet_environment
from report import write_report

MEASURES = ("quality", "speed", "memory", "shards", "chinese")


def main() -> None:
    """Runs the measures that were asked for, and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--peers", type=Path, default=Path(".venv-peers/bin/python"), help="Python of the peers (%(default)s)")
    add("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="measure these alone")
    add("--quick", action="store_true", help="the smallest settings that run everything once; says nothing of worth")
    add("--out", type=Path, default=None, help="folder to keep the results in, a JSON file a measure")
    add("--output", type=Path, default=HERE.parent / "TRAINING.md", help="where a whole run is written")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tfchain-bench-") as work:
        out = arguments.out or Path(work)
        for name in arguments.only:
            command = [sys.executable, HERE / f"{name}.py", "--peers", arguments.peers, "--out", out]
            subprocess.run([*command, "--quick"] if arguments.quick else command, check=True, env=quiet_environment())
        report = write_report(out)
    print(report)
    if not arguments.quick and set(arguments.only) == set(MEASURES):
        arguments.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
