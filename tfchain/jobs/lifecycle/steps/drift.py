"""Drift: each version gets a reference of its queries, with which the latest queries are compared."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.section_limits import make_drift_values
from tfchain.jobs.lifecycle.steps.chains import read_live

MOST_QUERIES = 1000

Value = TypeVar("Value")


def find_drift(plan: LifecyclePlan) -> tuple[bool, dict[str, Any]]:
    """Compares the latest window of queries that the live version answered with its reference.

    Returns:
        Whether they have drifted, and figures.
    """
    from tfchain.chains.monitored_version import make_unknown_counter, open_version
    from tfchain.jobs.lifecycle.steps.query_log import read_queries
    from tfchain.monitoring.drift.monitor import DriftMonitor
    from tfchain.monitoring.drift.reference import find_reference, read_reference
    from tfchain.monitoring.drift.replay import replay

    live = read_live(plan)
    version = None if live is None else plan.base_path / str(live.version)
    log = find_log(plan)
    if live is None or version is None or log is None or not find_reference(version).is_file():
        return False, {"message": "the live version has no reference, or there is no query log"}
    reference = read_reference(version)
    window = reference.config.window
    texts = read_queries(log, version=live.version, most=window)
    if len(texts) < window:
        return False, {"queries": len(texts), "message": f"fewer than a window of {window} queries so far"}
    with open_version(version) as model, DriftMonitor(reference) as monitor:
        replay(monitor, model, queries=texts, count_unknown=make_unknown_counter(version, model))
        report = monitor.report()
    queries = report.queries
    facts: dict[str, Any] = {"queries": len(texts), "causes": list(report.causes)}
    if queries is not None:
        facts |= {"values": dict(queries.values), "thresholds": dict(queries.thresholds)}
        facts["newcomers"] = queries.to_dict()["newcomers"]
    return bool(report.causes), facts


def check_drift(plan: LifecyclePlan, chain: Any) -> None:
    """Checks, before a training, that its versions can be watched for drift if the file wants it.

    Raises:
        InputError: if the task answers no texts.
    """
    if "drift" in plan.sections.get("trigger", {}):
        ask_for_texts(lambda: chain.task.check_asked(chain.state))


def find_log(plan: LifecyclePlan) -> Path | None:
    """Returns the folder of the query log: the trigger's own, or that of the section `feedback`."""
    for section in ("trigger", "feedback"):
        log: Path | None = plan.sections.get(section, {}).get("query_log")
        if log is not None:
            return log
    return None


def add_drift_files(plan: LifecyclePlan, version: Path, chain: Any) -> None:
    """Puts a reference into a new version, if the file watches for drift, and the file's canaries, if it has any.

    The reference is of the latest queries, or of judged ones; the canaries get the version's own vectors and scores.
    The version is loaded once for both, and not at all if they are there.

    Raises:
        InputError: if the version cannot be loaded or answers no texts, or the canaries cannot be read.
    """
    from tfchain.chains.monitored_version import open_version
    from tfchain.monitoring.canaries.ask import make_ask, record_canaries
    from tfchain.monitoring.canaries.canary import find_canaries, read_canaries, write_canaries

    asked = _choose_asked(plan, version, chain)
    canaries = plan.sections.get("canary", {}).get("canaries")
    if find_canaries(version).is_file():
        canaries = None
    if asked is None and canaries is None:
        return
    with open_version(version) as model:
        if asked is not None:
            _write_reference(plan, version, model, asked, chain.fingerprint)
        if canaries is not None:
            write_canaries(version, record_canaries(make_ask(model), read_canaries(canaries)))


@dataclass(frozen=True)
class _Asked:
    """What a reference is made of.

    Args:
        texts: The queries.
        is_judged: Whether their answers are known.
    """

    texts: list[str]
    is_judged: bool


def _choose_asked(plan: LifecyclePlan, version: Path, chain: Any) -> _Asked | None:
    """Chooses the queries of a new version's reference; None if it is to have none, or has one."""
    from tfchain.jobs.lifecycle.steps.query_log import read_queries
    from tfchain.monitoring.drift.config import LEAST_WINDOW, DriftConfig
    from tfchain.monitoring.drift.reference import find_reference

    drift = plan.sections.get("trigger", {}).get("drift")
    if drift is None or find_reference(version).is_file():
        return None
    log = find_log(plan)
    asked = _Asked([] if log is None else read_queries(log, most=MOST_QUERIES), is_judged=False)
    evaluate = plan.sections.get("evaluate")
    if len(asked.texts) < drift.get("window", DriftConfig().window) and evaluate is not None:
        judged = chain.task.read_judged(evaluate["dataset"], split=evaluate.get("split", "test"))
        texts = ask_for_texts(lambda: list(chain.task.asked(judged)[0])[:MOST_QUERIES])
        asked = _Asked(texts, is_judged=True)
    return asked if len(asked.texts) >= LEAST_WINDOW else None


def _write_reference(plan: LifecyclePlan, version: Path, model: Any, asked: _Asked, fingerprint: str) -> None:
    from tfchain.chains.version_reference import record_texts
    from tfchain.monitoring.drift.config import DriftConfig
    from tfchain.monitoring.drift.reference import make_reference, write_reference

    config = DriftConfig(**make_drift_values(plan.sections["trigger"]["drift"]))
    sample = ask_for_texts(lambda: record_texts(version, model, asked.texts))
    if asked.is_judged:  # with known answers: users' questions have lower scores without being others
        scalars = {name: values for name, values in sample.scalars.items() if name != "score"}
        sample = replace(sample, scalars=scalars)
    write_reference(version, make_reference(sample, config=config, fingerprint=fingerprint))


def ask_for_texts(ask: Callable[[], Value]) -> Value:
    """Calls a function that raises for a task that is asked no texts, and says what that means in a life cycle."""
    try:
        return ask()
    except InputError as error:
        raise InputError(f"Drift is looked for in texts. {error} Take `drift` out of the section `trigger`.") from error
