"""`tfchain plan`: how many machines a version needs for a rate and a latency."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.cli.output import print_json, print_values, waiting
from tfchain.cli.process import output_options
from tfchain.core.errors import InputError, TfchainError

if TYPE_CHECKING:
    from tfchain.deployment.capacity.measurement import Measurement
    from tfchain.deployment.capacity.plan import Plan

FILE = click.Path(path_type=Path, dir_okay=False)


class Count(click.ParamType[int]):
    """A whole number, which may be written as 20e6."""

    name = "number"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not number.is_integer() or number < 1:
            self.fail(f"{value!r} is not a whole number of at least 1, such as 5000 or 20e6.", parameter, context)
        return int(number)


@click.command("plan", short_help="Plan replicas, cores and memory for a rate and a latency.")
@click.argument("version_path", metavar="VERSION", type=click.Path(path_type=Path))
@click.option("--qps", type=float, required=True, help="Requests a second, on average.")
@click.option("--p99-ms", type=float, required=True, help="99 of 100 requests must be answered in this time.")
@click.option("--documents", type=Count(), help="Such as 20e6.  [default: those of VERSION]")
@click.option("--burst", type=float, default=1.0, show_default=True, help="The rate within bursts over the mean rate.")
@click.option("--burst-share", type=float, default=0.1, show_default=True, help="The part of the time in bursts.")
@click.option("--burst-seconds", type=float, default=5.0, show_default=True, help="The mean length of a burst.")
@click.option(
    "--spare", type=click.IntRange(0), default=1, show_default=True, help="Replicas that may fail within the goal."
)
@click.option("--price-per-core-hour", type=float, help="In any currency: adds the price of all replicas.")
@click.option("--machine-memory-gb", type=float, help="Of the machines to rent.  [default: that of this machine]")
@click.option("--network-mbit", type=float, help="Of the machines to rent, in Mbit/s.  [default: no limit]")
@click.option(
    "--larger",
    type=click.Path(path_type=Path),
    help="A version of the same model with more documents: the second point of the curve over the index's size.",
)
@click.option("--measure", "is_new", is_flag=True, help="Measure VERSION again, though it has a measurement.")
@click.option("--seconds", type=float, default=30.0, show_default=True, help="How long to measure.")
@click.option("--texts", type=FILE, help="What to ask: a text a line, or JSON lines with the inputs' values.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "tensorflow", "litert", "native"]),
    default="auto",
    show_default=True,
    help="What answers in the measured server.",
)
@click.option("--workers", type=click.IntRange(1, 1024), default=1, show_default=True, help="Its processes.")
@click.option("--url", help="Measure this running server instead, such as http://127.0.0.1:8501/v1/models/docs.")
@output_options
def plan_command(
    version_path: Path,
    qps: float,
    p99_ms: float,
    documents: int | None,
    burst: float,
    burst_share: float,
    burst_seconds: float,
    spare: int,
    price_per_core_hour: float | None,
    machine_memory_gb: float | None,
    network_mbit: float | None,
    larger: Path | None,
    is_new: bool,
    as_json: bool,
    **measuring: Any,
) -> None:
    """Plan how many replicas VERSION needs, with which cores and memory, and what saturates first.

    The plan comes from a measurement of VERSION behind a server on this machine, which is made once and kept beside the
    version, and from a simulation of random requests. A goal that no number of replicas reaches ends in an error that
    says the least possible.

    \b
    Examples:
      tfchain plan saved_models/docs/1 --qps 500 --p99-ms 50
      tfchain plan saved_models/docs/1 --qps 500 --p99-ms 50 --documents 20e6 --price-per-core-hour 0.04
      tfchain plan saved_models/docs/1 --qps 200 --p99-ms 100 --burst 3 --texts queries.txt --measure
    """
    from tfchain.deployment.capacity.arrivals import Burst
    from tfchain.deployment.capacity.plan import Goal, make_plan

    goal = Goal(
        qps=qps,
        p99_ms=p99_ms,
        documents=documents,
        burst=Burst(burst, burst_share, burst_seconds),
        spare=spare,
        price_per_core_hour=price_per_core_hour,
        machine_memory_mb=None if machine_memory_gb is None else 1000 * machine_memory_gb,
        network_mbit=network_mbit,
    )
    check_is_version(version_path)
    texts = read_texts(measuring.pop("texts"))
    measurement = find_measurement(version_path, is_new=is_new or texts is not None, texts=texts, **measuring)
    if larger is not None:
        from tfchain.deployment.capacity.index_curve import join_sizes

        check_is_version(larger)
        other = find_measurement(larger, is_new=is_new or texts is not None, texts=texts, **{**measuring, "url": None})
        measurement = join_sizes(measurement, other)
    with waiting("simulating"):
        plan = make_plan(measurement, goal)
    if as_json:
        print_json({"version": str(version_path), **plan.to_json()})
    else:
        print_plan(plan)


def check_is_version(path: Path) -> None:
    """Rejects a folder that is not one version.

    Raises:
        InputError: says what it is instead.
    """
    from tfchain.cli.folders import is_base_path, is_chain, is_version

    if is_version(path):
        return
    if is_base_path(path):
        what = f"a base path. Name one of its versions, such as {path / '1'}"
    elif is_chain(path):
        what = f"a saved chain. Export it first: `tfchain export {path}`"
    else:
        what = "without a saved_model.pb" if path.exists() else "not there"
    raise InputError(f"Expected a version, such as saved_models/docs/1. Received: {path}, which is {what}.")


def find_measurement(version_path: Path, *, is_new: bool, url: str | None, **options: Any) -> "Measurement":
    """Returns the version's measurement; makes it, and keeps it, if there is none of the engine that is asked for."""
    from tfchain.chains.model_server import PROGRAM
    from tfchain.deployment.capacity.measure import measure_version
    from tfchain.deployment.capacity.measurement import read_measurement, write_measurement

    found = None if is_new or url is not None else read_measurement(version_path)
    if found is not None and options.get("engine", "auto") in ("auto", found.engine):
        return found
    with waiting(f"measuring {version_path}"):
        measurement = measure_version(version_path, url=url, program=PROGRAM, **options)
    try:
        write_measurement(version_path, measurement)
    except TfchainError as error:  # a version on a read-only disk can be planned for, too
        click.echo(f"warning: the measurement is not kept. {error}", err=True)
    return measurement


def read_texts(path: Path | None) -> list[Any] | None:
    """Reads what to ask: JSON lines if the file's name says so, else a text a line; None without a file.

    Raises:
        InputError: if a line is not what it should be.
    """
    if path is None:
        return None
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8. Received: {error.reason} at byte {error.start}.") from error
    if path.suffix not in (".jsonl", ".json"):
        return lines
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise InputError(f"{path}, line {number}, must be JSON. Received: {line:.60} ({error}).") from error
    return found


def print_plan(plan: "Plan") -> None:
    """Prints a plan for people."""
    from tfchain.deployment.capacity.plan import to_ms

    first = plan.saturates_first
    memory = plan.memory
    values: dict[str, Any] = {
        "replicas": f"{plan.replicas} ({plan.needed} needed, {plan.goal.spare} may fail)",
        "cores each": plan.cores,
        "memory each": f"{memory.ready_mb:,.0f} MB, limit {memory.limit_mb:,.0f} MB" if memory.limit_mb else "unknown",
        "99 of 100 in": f"{to_ms(plan.p99_ms)}; {to_ms(plan.p99_ms_with_failure)} when the spare ones have failed; "
        f"{to_ms(plan.least_p99_ms)} on an idle server",
        "one replica": f"{plan.qps_per_replica:.4g} requests a second within the goal, "
        f"{plan.max_qps_per_replica:.4g} at most",
        "used": f"{plan.use:.0%}; {plan.use_with_failure:.0%} when the spare ones have failed",
        "saturates first": f"{first.name}, at {first.share:.0%}: {first.reason}",
        "batching": "does not pay" if plan.batching is None else to_words(plan),
    }
    for limit in plan.limits[1:]:
        values[f"then {limit.name}"] = f"{limit.share:.0%} of {limit.available:,.0f} {limit.unit}, {limit.reason}"
    if plan.price_per_hour is not None:
        values["price"] = f"{plan.price_per_hour:,.2f} an hour, {plan.price_per_month:,.0f} a month"
    print_values({**values, **{f"note {number}": note for number, note in enumerate(plan.notes, 1)}})


def to_words(plan: "Plan") -> str:
    """Describes the settings of batching."""
    settings = plan.batching
    if settings is None:
        return ""
    return (
        f"at most {settings.max_batch_size} texts, {settings.num_batch_threads} batch at a time, "
        f"{settings.qps:.4g} requests a second within the goal"
    )
