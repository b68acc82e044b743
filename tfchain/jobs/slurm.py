"""Slurm: a training as a script for `sbatch`."""

import dataclasses
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.jobs.job import Job

WORD = re.compile(r"[A-Za-z0-9_.:/%@=,+\[\]-]+")
OPTION = re.compile(r"[a-z][a-z0-9-]*")
TIME = re.compile(r"(?:[0-9]+-)?[0-9]+(?::[0-9]{1,2}){0,2}")
OWN_OPTIONS = ("job-name", "nodes", "ntasks", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time")


@dataclass(frozen=True, kw_only=True)
class SlurmJob(Job):
    """A training on a Slurm cluster, whose nodes share a file system.

    Args:
        cpus: Cores of each process. Default: what the cluster gives.
        time: The job's time limit, `minutes`, `hours:minutes:seconds` or `days-hours`. Default: the partition's.
        options: Other options of `sbatch` by their long names, such as `partition` or `account`. Default: none.

    The kind of accelerator is a type of GPU as the cluster names it, for example `a100`; any type by default.

    Raises:
        InputError: if a value is not possible.
    """

    cpus: int | None = None
    time: str | None = None
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cpus is not None:
            check_whole_number("cpus", self.cpus)
        if self.time is not None and not TIME.fullmatch(self.time):
            raise InputError(f"`time` must look like 12:00:00 or 1-12. Received: time={self.time!r}.")
        for name in self.options:
            if not OPTION.fullmatch(name) or name in OWN_OPTIONS:
                raise InputError(
                    "`options` must be long names of sbatch's options, without dashes before them, other than "
                    f"{', '.join(OWN_OPTIONS)}. Received: {name!r}."
                )
        words = {"name": self.name, "accelerator": self.accelerator, **self.options}
        for name, value in words.items():
            if value is not None and not WORD.fullmatch(value):  # sbatch would read it as several words
                raise InputError(f"`{name}` must be one word for sbatch. Received: {name}={value!r}.")


def make_sbatch(job: SlurmJob) -> str:
    """Makes a script: one process per node, all ended when one fails.

    TensorFlow reads from Slurm's environment which process runs on which node (`SlurmClusterResolver`).

    Args:
        job: The job.

    Returns:
        The script; `sbatch FILE` runs it.
    """
    options: dict[str, str] = {
        "job-name": job.name,
        "nodes": str(job.machines),
        "ntasks-per-node": "1",
    }
    if job.accelerators:
        options["gpus-per-node"] = ":".join(filter(None, (job.accelerator, str(job.accelerators))))
    if job.cpus is not None:
        options["cpus-per-task"] = str(job.cpus)
    if job.time is not None:
        options["time"] = job.time
    options |= {"output": "%x-%j.log", **job.options}
    step = ["srun", "--kill-on-bad-exit=1", "--label"]
    if job.cpus is not None:
        step.append(f"--cpus-per-task={job.cpus}")  # srun does not inherit it from sbatch
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{name}={value}" for name, value in options.items()),
        "",
        "set -euo pipefail",
        "",
        "# One process a node; each learns from Slurm which one it is.",
        shlex.join([*step, job.program, *job.train_arguments()]),
    ]
    return "\n".join(lines) + "\n"
