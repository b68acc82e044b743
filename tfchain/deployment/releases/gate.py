"""The gate before a version goes live: ops, proofs, the task's metric against the live one, speed, size, answers."""

import datetime
import os
import platform
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from tfchain.core.errors import ExportError, InputError
from tfchain.core.judgement import Judge, Judgement
from tfchain.core.native import NativeEngine
from tfchain.deployment.op_check import check_ops
from tfchain.deployment.release_state import find_live, read_state
from tfchain.deployment.releases.checks import check_answers, check_latency, check_metric, check_size
from tfchain.deployment.releases.comparison import Comparison, compare_values
from tfchain.deployment.releases.contents import hash_version, measure_size_mb
from tfchain.deployment.releases.limits import ReleaseLimits
from tfchain.deployment.releases.report import Check, ReleaseReport, write_report
from tfchain.deployment.releases.version_answers import LoadedVersion, open_version
from tfchain.deployment.repository import list_versions, parse_version, read_description

TIMED_ROUNDS = 3


def release_version(
    version_path: Path | str,
    *,
    judge: Judge | None = None,
    live_path: Path | str | None = None,
    limits: ReleaseLimits | None = None,
    engine: str = "tensorflow",
    native: NativeEngine | None = None,
    seed: int = 0,
) -> ReleaseReport:
    """Decides whether a version may go live, and writes the report into its folder.

    The version is not promoted: `promote` does that, and asks for the report.

    Args:
        version_path: The version's folder, in its base path.
        judge: Judges a version's answers to the user's evaluation set; `chains.releasing.make_judge` makes it of data.
            Default: the metric is not compared, which the report says.
        live_path: The version to compare with. Default: the base path's live version; none if there is no other.
        limits: The limits. Default: `ReleaseLimits()`.
        engine: What answers, as the server's `--engine`. Default: TensorFlow.
        native: The native engine, for `engine="native"`. Default: there is none.
        seed: The seed of the randomization test. Default: 0.

    Returns:
        The report; `passed` says whether the version may go live.

    Raises:
        InputError: if there is no such version, one cannot be loaded, or the evaluation set is too small; no report is
            written then.
    """
    path, limits = Path(version_path), limits or ReleaseLimits()
    number = _check_path(path)
    live = _find_live_path(path, number) if live_path is None else Path(live_path)
    if live is not None:
        _check_path(live)
        if live.resolve() == path.resolve():
            raise InputError(
                f"A version must be compared with another one. Received: {live} for both. "
                "Name the version that is live, or none to have it found."
            )
    contents = hash_version(path)
    checks = [_check_ops(path, limits)]
    comparison = None
    if checks[0].outcome == "passed":
        with ExitStack() as stack:
            new = stack.enter_context(open_version(path, engine=engine, native=native))
            checks.append(_check_proofs(new))
            if judge is None:
                checks.append(Check("metric", "skipped", "No evaluation set was given: the metric was not compared."))
            else:
                before = None
                if live is not None:
                    before = stack.enter_context(open_version(live, engine=engine, native=native))
                found, comparison = _judge_both(judge, new, before, limits, seed)
                checks += found
    live_size = None if live is None else measure_size_mb(live)
    checks.append(check_size(measure_size_mb(path), live_size, limits))
    report = ReleaseReport(
        model=path.resolve().parent.name,
        version=number,
        live=None if live is None else parse_version(live.name),
        contents=contents,
        fingerprint=str(read_description(path).get("fingerprint", "")),
        at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        checks=tuple(checks),
        comparison=comparison,
        limits=limits.to_json(),
        measured_on=_describe_machine(engine),
    )
    if hash_version(path) != contents:
        raise InputError(f"{path} changed while it was checked. No report was written. Check it again.")
    write_report(path, report)
    return report


def _judge_both(
    judge: Judge, new: LoadedVersion, live: LoadedVersion | None, limits: ReleaseLimits, seed: int
) -> tuple[list[Check], Comparison | None]:
    """Asks both versions the evaluation set; the live one first, so that an error in it is found early."""
    judged_live = None if live is None else judge(live)
    judged = judge(new)
    comparison = None
    if judged_live is not None:
        comparison = compare_values(
            judged_live.values,
            judged.values,
            metric=judged.metric,
            lower_is_better=judged.lower_is_better,
            alpha=limits.alpha,
            seed=seed,
        )
    checks = [
        check_metric(judged, comparison, limits),
        check_latency(*_time_both(new, live, judged), limits),
        check_answers(judged, judged_live, limits),
    ]
    return checks, comparison


def _check_path(path: Path) -> int:
    number = parse_version(path.name)
    if number is None or not (path / "saved_model.pb").is_file():
        raise InputError(
            "A version must be a folder named by its number, with saved_model.pb. "
            f"Received: {path}. Name one, such as saved_models/docs/3."
        )
    return number


def _find_live_path(path: Path, number: int) -> Path | None:
    """Returns the live version of the same base path; None if that is the version itself, or there is none."""
    base_path = path.resolve().parent
    versions = list_versions(base_path)
    if read_state(base_path).live is None:  # nothing was promoted yet: the highest of the others answers now
        live = max((version for version in versions if version != number), default=None)
    else:
        live = find_live(base_path)
    return versions.get(live) if live is not None and live != number else None


def _check_ops(path: Path, limits: ReleaseLimits) -> Check:
    from google.protobuf.message import DecodeError

    try:
        report = check_ops(path)
    except ExportError as error:
        return Check("ops", "failed", str(error))
    except DecodeError as error:
        raise InputError(f"{path} must be a SavedModel. Received: a saved_model.pb that cannot be read.") from error
    values = {"oldest_server": report.oldest_server, "num_ops": len(report.ops)}
    if _release(report.oldest_server) > _release(limits.server):
        return Check(
            *("ops", "failed"),
            f"The version needs TensorFlow Serving {report.oldest_server} or newer. The target has {limits.server}. "
            "Export with signatures='ids', or use a newer server.",
            values,
        )
    return Check("ops", "passed", f"TensorFlow Serving {report.oldest_server} and newer have all of its ops.", values)


def _check_proofs(version: LoadedVersion) -> Check:
    """Asks the version again what its export asked: on this machine, with the files as they are now."""
    from tfchain.deployment.export import ask_proofs
    from tfchain.deployment.proof_files import read_proofs
    from tfchain.deployment.server.servables.native import NativeServable
    from tfchain.deployment.server.status import StatusError

    proofs, native_proofs = read_proofs(version.path)
    is_native = isinstance(version.servable, NativeServable)
    asked = native_proofs if is_native else proofs
    if not asked:
        return Check("proofs", "skipped", "The version has no proofs: tfchain's export writes them.")
    try:
        ask_proofs(version.servable, asked)
    except (ExportError, StatusError) as error:
        message = str(error).split(" No version was written.")[0]
        return Check("proofs", "failed", f"The version no longer answers as it did at its export: {message}")
    return Check("proofs", "passed", f"All {len(asked)} proofs of the export hold.", {"num_proofs": len(asked)})


def _time_both(
    new: LoadedVersion, live: LoadedVersion | None, judged: Judgement
) -> tuple[Sequence[float], Sequence[float]]:
    """Times single questions, the two versions in turn, so that both see the same load; milliseconds each."""
    times: tuple[list[float], list[float]] = ([], [])
    versions = [(new, times[0])] + ([] if live is None else [(live, times[1])])
    for question in judged.probes[:1]:  # the first run of a signature makes its graph ready
        for version, _ in versions:
            version.ask(question)
    for turn in range(TIMED_ROUNDS):
        for question in judged.probes:
            for version, measured in versions if turn % 2 == 0 else reversed(versions):
                start = time.perf_counter()
                version.ask(question)
                measured.append((time.perf_counter() - start) * 1000)
    return times


def _describe_machine(engine: str) -> str:
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return f"{_name_processor()}, {os.cpu_count()} cores, load {load}, engine {engine}, NumPy {np.__version__}"


def _name_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
