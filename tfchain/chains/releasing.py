"""Releases of a version by its folder: the judge of its task, and the gate with tfchain's own engine."""

from pathlib import Path
from typing import Any

from tfchain.chains.chain_types import make_task
from tfchain.core.errors import InputError
from tfchain.core.judgement import Judge
from tfchain.core.task import Task
from tfchain.deployment.releases.gate import release_version as release
from tfchain.deployment.releases.limits import ReleaseLimits
from tfchain.deployment.releases.report import ReleaseReport
from tfchain.deployment.repository import read_description


def make_judge(
    version_path: Path | str,
    dataset: Any,
    *,
    split: str = "test",
    metric: str | None = None,
    task: Task | None = None,
    state: Any = None,
) -> Judge:
    """Makes the judge of a version from an evaluation set.

    Args:
        version_path: The version's folder, which names its task.
        dataset: The evaluation set, in any form that the task reads.
        split: The split of a folder that has several. Default: `test`.
        metric: The task's metric. Default: its objective.
        task: The task, for one of your own. Default: the one that the version's description names.
        state: The task's state, which a task of your own may need. Default: None.

    Raises:
        InputError: if the task is unknown, or the data cannot be read.
    """
    task = _find_task(Path(version_path)) if task is None else task
    return task.make_judge(task.read_judged(dataset, split=split), state, metric=metric)


def release_version(
    version_path: Path | str,
    dataset: Any = None,
    *,
    split: str = "test",
    metric: str | None = None,
    limits: ReleaseLimits | None = None,
    live_path: Path | str | None = None,
    engine: str = "tensorflow",
    seed: int = 0,
    task: Task | None = None,
    state: Any = None,
) -> ReleaseReport:
    """Decides whether a version may go live: the gate, with a judge of the version's task made of an evaluation set.

    Args:
        version_path: The version's folder, in its base path.
        dataset: The evaluation set, in any form that the task reads. Default: the metric is not compared.
        split: The split of a folder that has several. Default: `test`.
        metric: The task's metric. Default: its objective.
        limits: The limits. Default: `ReleaseLimits()`.
        live_path: The version to compare with. Default: the base path's live version.
        engine: What answers, as the server's `--engine`. Default: TensorFlow.
        seed: The seed of the randomization test. Default: 0.
        task: As in `make_judge`. Default: the one that the version names.
        state: As in `make_judge`. Default: None.

    Returns:
        The report, which is in the version's folder, too.

    Raises:
        InputError: if there is no such version, or the data cannot be read; no report is written then.
    """
    from tfchain.chains.model_server import find_obstacle, load
    from tfchain.core.native import NativeEngine

    judge = None
    if dataset is not None:
        judge = make_judge(version_path, dataset, split=split, metric=metric, task=task, state=state)
    native = NativeEngine(find_obstacle, load)
    return release(
        version_path, judge=judge, live_path=live_path, limits=limits, engine=engine, native=native, seed=seed
    )


def _find_task(version_path: Path) -> Task:
    try:
        task: Task = make_task(read_description(version_path))
    except InputError as error:
        raise InputError(f"{version_path}: {error} Pass `task=` for one of your own.") from error
    return task
