"""Cron: one line that runs the whole cycle, and goes on with one that was stopped or waits."""

import shlex
from pathlib import Path

from tfchain.jobs.job import PROGRAM
from tfchain.jobs.lifecycle.targets.pipeline import Pipeline


def make_crontab(pipeline: Pipeline) -> str:
    """Writes the line of a crontab; its output goes to a log beside the file.

    A cycle that waits for approval, or was killed, goes on at the next time. A run that still works keeps the next one
    out: that one ends with an error, and changes nothing.
    """
    config = Path(pipeline.config)
    log = config.with_name(f"{config.stem}-lifecycle.log")
    command = f"{PROGRAM} lifecycle {shlex.quote(str(config))} >> {shlex.quote(str(log))} 2>&1"
    # In a crontab, a percent sign ends the command.
    return f"# The life cycle of {config.name}; `crontab -l` shows what is installed.\n" + (
        f"{pipeline.schedule} {command}\n".replace("%", "\\%")
    )
