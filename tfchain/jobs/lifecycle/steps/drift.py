"""Drift: each version gets a reference of its queries, with which the latest queries are compared."""

from collections.abc import Callable
from dataclasses import replace
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


def add_reference(plan: LifecyclePlan, version: Path, chain: Any) -> None:
    """Puts a reference into a new version, if the file watches for drift: of the latest queries, or of judged ones.

    Raises:
        InputError: if the version answers no texts.
    """
    from tfchain.chains.version_reference import record_version
    from tfchain.jobs.lifecycle.steps.query_log import read_queries
    from tfchain.monitoring.drift.config import LEAST_WINDOW, DriftConfig
    from tfchain.monitoring.drift.reference import find_reference, make_reference, write_reference

    drift = plan.sections.get("trigger", {}).get("drift")
    if drift is None or find_reference(version).is_file():
        return
    log = find_log(plan)
    texts = [] if log is None else read_queries(log, most=MOST_QUERIES)
    evaluate = plan.sections.get("evaluate")
    is_judged = False
    if len(texts) < drift.get("window", DriftConfig().window) and evaluate is not None:
        is_judged = True
        judged = chain.task.read_judged(evaluate["dataset"], split=evaluate.get("split", "test"))
        texts = ask_for_texts(lambda: list(chain.task.asked(judged)[0])[:MOST_QUERIES])
    if len(texts) < LEAST_WINDOW:
        return
    config = DriftConfig(**make_drift_values(drift))
    sample = ask_for_texts(lambda: record_version(version, texts))
    if is_judged:  # with known answers: users' questions have lower scores without being others
        scalars = {name: values for name, values in sample.scalars.items() if name != "score"}
        sample = replace(sample, scalars=scalars)
    write_reference(version, make_reference(sample, config=config, fingerprint=chain.fingerprint))


def ask_for_texts(ask: Callable[[], Value]) -> Value:
    """Calls a function that raises for a task that is asked no texts, and says what that means in a life cycle."""
    try:
        return ask()
    except InputError as error:
        raise InputError(f"Drift is looked for in texts. {error} Take `drift` out of the section `trigger`.") from error


def add_canaries(plan: LifecyclePlan, version: Path) -> None:
    """Puts the canary queries of the file into a new version, with the version's own vectors and scores."""
    from tfchain.chains.monitored_version import open_version
    from tfchain.monitoring.canaries.ask import make_ask, record_canaries
    from tfchain.monitoring.canaries.canary import find_canaries, read_canaries, write_canaries

    source = plan.sections.get("canary", {}).get("canaries")
    if source is None or find_canaries(version).is_file():
        return
    with open_version(version) as model:
        write_canaries(version, record_canaries(make_ask(model), read_canaries(source)))
