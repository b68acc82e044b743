"""The step `canary`: a version gets a share of the requests, and is asked canary queries meanwhile."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_json
from tfchain.core.errors import ServerError
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.section_limits import HEALTH
from tfchain.jobs.lifecycle.state import read_json
from tfchain.jobs.lifecycle.step import Result, Step, StepRun
from tfchain.jobs.lifecycle.steps.releasing import find_rollback

EVERY_SECONDS = 30.0
READY_SECONDS = 120.0
POLL_SECONDS = 0.5


def make_canary_step(plan: LifecyclePlan) -> Step:
    """Makes the step from the section `canary`."""
    section = plan.sections["canary"]
    return Step(
        name="canary",
        run=lambda step: run_canary(plan, step),
        needs=("export", "gate"),
        settings=section,
        inputs={"canaries": section["canaries"]} if "canaries" in section else {},
        when="always",
        approve="canary" in plan.approve,
    )


def run_canary(plan: LifecyclePlan, step: StepRun) -> Result:
    """Starts the canary, watches it until the time is over, and says whether it does well."""
    from tfchain.deployment.release_state import find_live, read_state
    from tfchain.deployment.releases.switch import start_canary

    section = plan.sections["canary"]
    version, number = step.results["export"].paths["version"], step.results["export"].values["number"]
    state = read_state(plan.base_path)
    live = find_live(plan.base_path)
    if state.live == number:
        return Result(values={"healthy": True}, facts={"message": f"version {number} is live already"})
    earlier = find_rollback(plan, number)
    if earlier is not None:
        return Result(values={"healthy": False, "reason": earlier, "tried": False})
    is_first = live is None or live == number
    if not is_first and state.canary != number:
        start_canary(plan.base_path, number, percent=section.get("percent", 10.0))
    seconds = 0.0 if is_first else seconds_left(step, section.get("minutes", 0.0) * 60)
    find_failure = make_health_check(plan, version.parent.name, live, number)
    checks = 0
    with open_ask(plan, version, number) as ask:
        deadline = time.monotonic() + seconds
        while True:
            report = check(plan, version, ask)
            checks += 1
            facts = {"checks": checks, **figures(report)}
            findings = [] if report is None else [finding.message for finding in report.findings]
            reason = " ".join(findings) or find_failure()
            if reason:
                return Result(values={"healthy": False, "reason": reason}, facts=facts)
            left = deadline - time.monotonic()
            if left <= 0:
                return Result(values={"healthy": True}, facts=facts)
            time.sleep(min(left, section.get("every_seconds", EVERY_SECONDS)))


def make_health_check(plan: LifecyclePlan, model: str, live: int | None, canary: int) -> Callable[[], str]:
    """Makes what says why users' requests want the canary back; without a server it knows of none, and says nothing."""
    from tfchain.deployment.releases.server_health import read_server_health
    from tfchain.deployment.releases.watch import CanaryLimits, CanaryWatch

    section = plan.sections["canary"]
    server = section.get("server")
    if server is None or live is None or live == canary:
        return lambda: ""
    watch = CanaryWatch(CanaryLimits(**{name: section[name] for name in HEALTH if name in section}))

    def find_failure() -> str:
        decision, reason = watch.decide(read_server_health(server, model, live=live, canary=canary))
        return reason if decision == "roll back" else ""

    return find_failure


def seconds_left(step: StepRun, seconds: float) -> float:
    """Returns how long the canary still runs: a killed run of this cycle goes on; another cycle begins anew."""
    mark = step.folder / "started.json"
    begun = read_json(mark) if mark.is_file() else {}
    if begun.get("cycle") != step.cycle:
        begun = {"cycle": step.cycle, "started": time.time()}
        write_json(mark, begun)
    elapsed = time.time() - begun["started"]
    return seconds - min(max(elapsed, 0.0), seconds)


@contextlib.contextmanager
def open_ask(plan: LifecyclePlan, version: Path, number: int) -> Iterator[Any]:
    """Yields what puts a canary query to the version: over the server of the file, or loaded in this process."""
    from tfchain.chains.monitored_version import connect, open_version
    from tfchain.monitoring.canaries.ask import make_ask

    server = plan.sections["canary"].get("server")
    if server is None:
        with open_version(version) as model:
            yield make_ask(model)
        return
    name = version.parent.name
    wait_until_ready(server, name, number)
    with connect(server, name, version=number) as model:
        yield make_ask(model)


def wait_until_ready(server: str, model: str, version: int, seconds: float = READY_SECONDS) -> None:
    """Waits until a server answers with a version that it has just been told of.

    Raises:
        ServerError: if it does not in time.
    """
    from tfchain.deployment.client.client import Client

    deadline = time.monotonic() + seconds
    with Client(rest_url=server) as client:
        while True:
            try:
                state = client.status(model).get(version, "not known")
            except ServerError as error:
                state = str(error)
            if state == "AVAILABLE":
                return
            if time.monotonic() >= deadline:
                raise ServerError(
                    f"The server must load version {version} of {model} for its canary. Received: {state}, after "
                    f"{seconds:g} seconds. Let it follow the base path, or leave `canary.server` out."
                )
            time.sleep(POLL_SECONDS)


def check(plan: LifecyclePlan, version: Path, ask: Any) -> Any:
    """Asks the canaries of the file, or those in the version; None if there are none."""
    from tfchain.monitoring.canaries.canary import find_canaries, read_canaries
    from tfchain.monitoring.canaries.check import CanaryLimits, check_canaries

    section = plan.sections["canary"]
    # The version's own have its vectors and scores, too: they tell a version that is served otherwise than exported.
    source = version if find_canaries(version).is_file() else section.get("canaries", version)
    if not find_canaries(source).is_file():
        return None
    limits = CanaryLimits(recall=section.get("min_recall", 1.0), latency_ms=section.get("max_latency_ms"))
    return check_canaries(ask, read_canaries(source), limits)


def figures(report: Any) -> dict[str, Any]:
    """Returns the figures of a report."""
    if report is None:
        return {"message": "there were no canary queries to ask"}
    return {"canaries": report.canaries, "recall": report.recall, "latency_ms": report.latency_ms}
