"""Canary, shadow, promotion, rollback and pruning of a base path's versions: plain functions on paths.

Each writes `releases.json` in one step. The embedded server follows that file; `serving_config` makes of it the model
config of a stock TensorFlow Serving.
"""

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.atomic import PARTIAL_PREFIX, sync_folder, writing
from tfchain.core.errors import InputError
from tfchain.deployment.release_state import ReleaseState, changing_state, find_live, read_state
from tfchain.deployment.releases.contents import hash_version
from tfchain.deployment.releases.report import read_report
from tfchain.deployment.repository import list_versions

_NO_CANARY: Mapping[str, Any] = {"canary": None, "canary_percent": 0.0}


def promote(
    base_path: Path | str, version: int | None = None, *, reason: str = "", needs_blessing: bool = True
) -> ReleaseState:
    """Makes a version live.

    Args:
        base_path: The folder of the version folders.
        version: The version. Default: the canary.
        reason: Why, for the history. Default: empty.
        needs_blessing: Whether the gate must have let the version through (`blessing.json`), with the same files as it
            has now. Default: True.

    Returns:
        The new state. Promoting the live version again changes nothing.

    Raises:
        InputError: if there is no such version, no canary, or no blessing; nothing changes then.
    """
    with changing_state(base_path) as write:
        state = read_state(base_path)
        version = state.canary if version is None else version
        if version is None:
            raise InputError(f"There is no canary in {base_path} to promote. Name a version: {_list_names(base_path)}.")
        _check_version(base_path, version, needs_blessing=needs_blessing)
        if version == state.live and state.canary is None:
            return state
        after = _promote(base_path, state, version, reason)
        write(after)
    return after


def end_canary(base_path: Path | str, version: int, *, is_good: bool, reason: str = "") -> bool:
    """Promotes a canary, or takes it away, if it is still on trial; what somebody else did meanwhile stays.

    Args:
        base_path: The folder of the version folders.
        version: The canary that was judged.
        is_good: Whether it becomes live.
        reason: Why, for the history. Default: empty.

    Returns:
        Whether it was still on trial.
    """
    with changing_state(base_path) as write:
        state = read_state(base_path)
        if state.canary != version:
            return False
        if is_good:
            _check_version(base_path, version, needs_blessing=False)
            write(_promote(base_path, state, version, reason))
        else:
            write(state.after("roll back", version, reason, **_NO_CANARY))
    return True


def rollback(base_path: Path | str, version: int | None = None, *, reason: str = "") -> ReleaseState:
    """Takes a canary away; without one, makes an earlier version live again.

    Args:
        base_path: The folder of the version folders.
        version: The version to go back to. Default: with a canary, the live one stays; without, the last one that was
            live before and is still there.
        reason: Why, for the history. Default: empty.

    Returns:
        The new state.

    Raises:
        InputError: if there is nothing to go back to; nothing changes then.
    """
    with changing_state(base_path) as write:
        state = read_state(base_path)
        if state.canary is not None and version is None:
            after = state.after("roll back", state.canary, reason, **_NO_CANARY)
        else:
            present = list_versions(base_path)
            if version is None:
                version = next((item for item in state.previous if item in present), None)
            if version is None:
                raise InputError(
                    f"No version of {base_path} was live before the present one. "
                    f"Name one to go back to: {_list_names(base_path)}."
                )
            _check_version(base_path, version, needs_blessing=False)
            previous = tuple(item for item in state.previous if item != version)
            changes = {"live": version, "previous": previous, **_NO_CANARY, **_without_shadow(state, version)}
            after = state.after("roll back", version, reason, **changes)
        write(after)
    return after


def start_canary(
    base_path: Path | str, version: int, *, percent: float = 10.0, reason: str = "", needs_blessing: bool = True
) -> ReleaseState:
    """Sends a share of the requests that name no version to a new one.

    Args:
        base_path: The folder of the version folders.
        version: The version on trial.
        percent: Its share of the requests, above 0 and below 100. Default: 10.
        reason: Why, for the history. Default: empty.
        needs_blessing: As in `promote`. Default: True.

    Returns:
        The new state.

    Raises:
        InputError: if an argument is out of range, there is no such version, no blessing, or no other version that is
            live; nothing changes then.
    """
    check_percent("percent", percent)
    with changing_state(base_path) as write:
        state = read_state(base_path)
        _check_version(base_path, version, needs_blessing=needs_blessing)
        live = _find_other_live(base_path, state, version)
        changes: dict[str, Any] = {"live": live, "canary": version, "canary_percent": float(percent)}
        after = state.after("canary", version, reason or f"{percent:g} % of the requests", **changes)
        write(after)
    return after


def start_shadow(base_path: Path | str, version: int, *, percent: float = 10.0) -> ReleaseState:
    """Copies a share of the requests to a new version, whose answers nobody sees and the server compares.

    Args:
        base_path: The folder of the version folders.
        version: The version.
        percent: The share of requests to copy, above 0 up to 100. Default: 10.

    Raises:
        InputError: if an argument is out of range, or there is no such version or no other one that is live.
    """
    check_percent("percent", percent, may_be_all=True)
    with changing_state(base_path) as write:
        state = read_state(base_path)
        _check_version(base_path, version, needs_blessing=False)
        live = _find_other_live(base_path, state, version)
        after = state.after(
            *("shadow", version, f"{percent:g} % of the requests"),
            live=live,
            shadow=version,
            shadow_percent=float(percent),
        )
        write(after)
    return after


def stop_shadow(base_path: Path | str) -> ReleaseState:
    """Ends the copying of requests."""
    with changing_state(base_path) as write:
        state = read_state(base_path)
        if state.shadow is None:
            return state
        after = state.after("stop shadow", state.shadow, shadow=None, shadow_percent=0.0)
        write(after)
    return after


def prune(base_path: Path | str, *, keep: int = 2) -> list[int]:
    """Removes old versions: never the live one, the canary, the shadow, nor any that is newer than the live one.

    Args:
        base_path: The folder of the version folders.
        keep: How many of the older versions stay, those that were live last first. Default: 2.

    Returns:
        The removed versions.

    Raises:
        InputError: if `keep` is not a whole number of 0 or more.
    """
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 0:
        raise InputError(
            f"`keep` must be a whole number of 0 or more. Received: keep={keep!r}. Keep two to go back to."
        )
    with changing_state(base_path) as write:
        state = read_state(base_path)
        versions = list_versions(base_path)
        live = find_live(base_path)
        if live is None:
            return []
        old = [item for item in sorted(versions, reverse=True) if item < live and item not in state.served]
        were_live = [item for item in state.previous if item in old]
        ranked = [*were_live, *(item for item in old if item not in were_live)]
        removed = sorted(ranked[keep:])
        if removed:  # first the record, so that nobody goes back to a version that is half removed
            previous = tuple(item for item in state.previous if item not in removed)
            write(state.after("prune", None, f"versions {', '.join(map(str, removed))}", previous=previous))
        for version in removed:
            _remove(versions[version])
    return removed


def list_releases(base_path: Path | str, *, verify: bool = False) -> list[Mapping[str, Any]]:
    """Describes each version of a base path: role, fingerprint, content, what the gate said. Highest version first.

    Args:
        base_path: The folder of the version folders.
        verify: Whether to read all files, and compare them with those that the reports are about. Default: False.

    Returns:
        Plain values by name: `version`, `role` (`live`, `canary`, `shadow`, `previous` or empty), `percent`,
        `fingerprint`, `task`, `passed` (None without a report), `is_current` (whether the report is about the files as
        they are; None without one, or if that was not verified), `gain`, `reported_at`, `path`.
    """
    from tfchain.deployment.repository import read_description

    state, live = read_state(base_path), find_live(base_path)
    listed: list[Mapping[str, Any]] = []
    for version, path in sorted(list_versions(base_path).items(), reverse=True):
        described, report = read_description(path), read_report(path)
        role, percent = _find_role(state, live, version)
        listed.append(
            {
                "version": version,
                "role": role,
                "percent": percent,
                "fingerprint": described.get("fingerprint", ""),
                "task": described.get("task", ""),
                "passed": None if report is None else report.passed,
                "is_current": report.contents == hash_version(path) if verify and report is not None else None,
                "gain": None if report is None or report.comparison is None else report.comparison.gain,
                "reported_at": None if report is None else report.at,
                "path": str(path),
            }
        )
    return listed


def _promote(base_path: Path | str, state: ReleaseState, version: int, reason: str) -> ReleaseState:
    """Returns the state with a version live that was not."""
    before = find_live(base_path) if state.live is None else state.live
    previous = tuple(item for item in state.previous if item != version)
    if before is not None and before != version:
        previous = (before, *(item for item in previous if item != before))
    changes = {"live": version, "previous": previous, **_NO_CANARY, **_without_shadow(state, version)}
    return state.after("promote", version, reason, **changes)


def _without_shadow(state: ReleaseState, version: int) -> Mapping[str, Any]:
    """Returns what ends the shadow if it is the version that becomes live: no version is its own shadow."""
    return {"shadow": None, "shadow_percent": 0.0} if state.shadow == version else {}


def _find_role(state: ReleaseState, live: int | None, version: int) -> tuple[str, float]:
    if version == live:
        return "live", 100.0 - state.canary_percent
    if version == state.canary:
        return "canary", state.canary_percent
    if version == state.shadow:
        return "shadow", state.shadow_percent
    return ("previous" if version in state.previous else ""), 0.0


def _check_version(base_path: Path | str, version: int, *, needs_blessing: bool) -> None:
    versions = list_versions(base_path)
    if isinstance(version, bool) or version not in versions:
        raise InputError(
            f"`version` must be a version of {base_path}. Received: version={version!r}. "
            f"There are: {_list_names(base_path)}."
        )
    path = versions[version]
    if not (path / "saved_model.pb").is_file() and not (path / "saved_model.pbtxt").is_file():
        raise InputError(
            f"Version {version} must be a SavedModel. Received: {path}, without saved_model.pb. Export it."
        )
    if not needs_blessing:
        return
    report = read_report(path)
    if report is None:
        raise InputError(
            f"Version {version} has no report of the gate. Received: {path} without blessing.json. "
            f"Run `tfchain release {path}` first, or promote it without a blessing."
        )
    if not report.passed:
        raise InputError(f"The gate refused version {version}: {' '.join(report.refusals)} See {path}/blessing.html.")
    if report.contents != hash_version(path):
        raise InputError(
            f"The files of version {version} have changed since the gate let it through. Received: {path}. "
            f"Run `tfchain release {path}` again."
        )


def _find_other_live(base_path: Path | str, state: ReleaseState, version: int) -> int:
    """Returns the version that stays live beside a new one."""
    live = state.live
    if live is None:  # nothing was promoted yet: the highest of the others serves
        live = max((item for item in list_versions(base_path) if item != version), default=None)
    if live is None or live == version:
        raise InputError(
            f"Version {version} must stand beside another version that is live. Received: {base_path}, where "
            + ("it is the only one." if live is None else "it is the live one.")
            + " Promote it, or export a new one."
        )
    return live


def _remove(path: Path) -> None:
    """Removes a version: renamed in one step, so that no server finds it half, then deleted."""
    gone = path.parent / f"{PARTIAL_PREFIX}{uuid.uuid4().hex[:8]}-{path.name}"
    with writing(path):
        os.rename(path, gone)
        sync_folder(path.parent)
    shutil.rmtree(gone, ignore_errors=True)


def _list_names(base_path: Path | str) -> str:
    return ", ".join(map(str, list_versions(base_path))) or "none"


def check_percent(name: str, percent: float, *, may_be_all: bool = False) -> None:
    """Raises an InputError if the argument of that name is not a share of requests in percent."""
    is_number = isinstance(percent, int | float) and not isinstance(percent, bool)
    if not is_number or not (0 < percent < 100 or (may_be_all and percent == 100)):
        raise InputError(
            f"`{name}` must be above 0 and {'at most' if may_be_all else 'below'} 100. Received: {name}={percent!r}. "
            "Start with 10."
        )
