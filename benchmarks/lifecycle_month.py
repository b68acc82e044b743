"""A month of a life cycle with a real model, each step of each week killed once by SIGKILL while it works.

Run: .venv/bin/python benchmarks/lifecycle_month.py [--model MODEL] [--seed 0] [--weeks 5] [--write]
The weeks are those of examples/lifecycle.py. Each runs `tfchain lifecycle` as a process; this program waits until a
step is written down as running, kills the process after a random time, and starts it again, until it ends by itself.
With --write the result becomes benchmarks/LIFECYCLE_MONTH.md.
"""

import argparse
import json
import os
import platform
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_file
from tfchain.deployment.release_state import read_state

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "lifecycle.py"
PROGRAM = [sys.executable, "-c", "from tfchain.cli import main; main()", "lifecycle"]
LATEST_KILL_SECONDS = 3.0
MOST_SECONDS = 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="default: the model that comes with tfchain")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weeks", type=int, default=5, help="how many weeks to play (5)")
    parser.add_argument("--write", action="store_true", help="write benchmarks/LIFECYCLE_MONTH.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tfchain-month-") as temporary:
        options.folder = temporary
        weeks = play(Path(temporary), options)
        text = describe(weeks, Path(temporary), options)
    print(text)
    if options.write:
        write_file(ROOT / "benchmarks" / "LIFECYCLE_MONTH.md", text)


def play(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Plays the weeks of the example, and returns what came of each."""
    example = runpy.run_path(str(EXAMPLE))
    chance = random.Random(options.seed)
    config: Path = example["make_office"](folder, options)
    before = folder / "before.yaml"

    def teach_nonsense() -> None:
        shutil.copy(config, before)
        example["teach_wrongly"](folder, config)

    def expect_too_much() -> None:
        shutil.copy(before, config)
        example["expect_too_much"](folder, config)

    changes: list[Callable[[], None]] = [
        lambda: None,
        lambda: example["ask"](config, example["PLAIN"], clicks=False),
        lambda: example["ask"](config, example["NICKNAMES"], clicks=True),
        teach_nonsense,
        expect_too_much,
    ]
    weeks = []
    for number, change in enumerate(changes[: options.weeks], 1):
        change()
        weeks.append(run_week(number, config, chance))
        print(f"week {number}: {weeks[-1]['outcome']}, {len(weeks[-1]['kills'])} kills", file=sys.stderr)
    return weeks


def run_week(number: int, config: Path, chance: random.Random) -> dict[str, Any]:
    """Runs the life cycle until it ends by itself; kills it in each step once."""
    state = config.with_name(f"{config.stem}-lifecycle") / "cycles" / f"{number:06}"
    killed: set[str] = set()
    kills: list[str] = []
    start = time.monotonic()
    while True:
        with subprocess.Popen([*PROGRAM, str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            step = wait_for_step(process, state, killed)
            if step is None:
                output = process.communicate(timeout=MOST_SECONDS)[0].decode()
                break
            killed.add(step)
            time.sleep(chance.uniform(0, LATEST_KILL_SECONDS) if step in ("train", "export", "evaluate", "gate") else 0)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills.append(step)
    if process.returncode not in (0, 4):
        raise SystemExit(f"week {number} ended with {process.returncode}:\n{output}")
    records = {path.stem: json.loads(path.read_text()) for path in state.glob("[!.]*.json")}
    return {
        "outcome": records["cycle"]["outcome"],
        "code": process.returncode,
        "kills": kills,
        "seconds": time.monotonic() - start,
        "work": sum(record.get("seconds", 0.0) for record in records.values()),
        "records": records,
        "live": read_state(config.parent / "versions" / "office").live,
    }


def wait_for_step(process: "subprocess.Popen[bytes]", state: Path, killed: set[str]) -> str | None:
    """Returns the first step that runs and was not killed yet; None if the process ends before."""
    deadline = time.monotonic() + MOST_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        for path in state.glob("[!.]*.json"):
            try:
                record = json.loads(path.read_text())
            except (ValueError, OSError):
                continue
            if record.get("status") == "running" and path.stem not in killed:
                return path.stem
        time.sleep(0.002)
    return None


def describe(weeks: list[dict[str, Any]], folder: Path, options: argparse.Namespace) -> str:
    """Writes the page."""
    words = ("a first model", "the same questions", "nicknames, with clicks", "taught nonsense", "a bad canary")
    rows = []
    for number, (week, what) in enumerate(zip(weeks, words, strict=False), 1):
        evaluated = (week["records"]["evaluate"]["result"] or {}).get("values", {}).get("metrics", {})
        metrics = [
            f"{evaluated[name]['dataset']['ndcg@10']:.3f}" if name in evaluated else "" for name in ("live", "new")
        ]
        rows.append(
            f"| {number} | {what} | {week['outcome'].replace('|', '/')[:110]} | {metrics[0]} | {metrics[1]} | "
            f"{week['live']} | {len(week['kills'])} | {week['work']:.0f} |"
        )
    versions = sorted(int(path.name) for path in (folder / "versions" / "office").iterdir() if path.name.isdecimal())
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    machine = f"{read_processor()}, {os.cpu_count()} cores, load {load}, Python {platform.python_version()}"
    lines = [
        "# A month of the life cycle",
        "",
        f"`python benchmarks/lifecycle_month.py --write`; {machine};",
        f"{options.model or 'the model that comes with tfchain'}.",
        "",
        "The weeks of [examples/lifecycle.py](../examples/lifecycle.py). Every step of every week is killed by SIGKILL",
        "once, if it lasts long enough, and the run is started again. Seconds count the work of all attempts.",
        "",
        "| week | what happens | how the cycle ends | ndcg@10 live | new | live version | kills | seconds |",
        "|---:|---|---|---:|---:|---:|---:|---:|",
        *rows,
        "",
        f"Drift in weeks 2 and 3 (statistic / threshold): {week_drift(weeks)}.",
        f"What called for a training in week 3: {', '.join(week_reasons(weeks[2]))}." if len(weeks) > 2 else "",
        f"Versions in the base path at the end: {', '.join(map(str, versions))}; none was exported twice.",
        "",
    ]
    return "\n".join(lines)


def week_drift(weeks: list[dict[str, Any]]) -> str:
    parts = []
    for week in weeks[1:3]:
        drift = week["records"]["trigger"]["result"]["facts"]["drift"]  # of a version that was promoted
        parts.append(
            ", ".join(
                f"{name} {drift['values'][name]:.4f} / {drift['thresholds'][name]:.4f}" for name in drift["values"]
            )
        )
    return "; ".join(parts)


def week_reasons(week: dict[str, Any]) -> list[str]:
    reasons: list[str] = week["records"]["trigger"]["result"]["facts"]["reasons"]
    return reasons


def read_processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
